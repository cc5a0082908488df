//! Delivery: each POST is repeated with the same bytes until it gets 200.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::seq::SliceRandom;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::encode;
use super::update::Update;
use crate::engine::Core;
use crate::record::{Attempt, DeliveredUpdate, Delivery};
use crate::settings::WebhookTarget;
use crate::world::World;
use crate::world::thread::ThreadKey;

/// Maximum number of updates per POST (Messenger Platform, "Webhooks": up to 1000).
const UPDATES_MAX: usize = 1000;

/// The order in which held updates are released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseOrder {
    /// Chronological.
    #[default]
    Sent,
    /// Newest first.
    Reversed,
    /// Random.
    Shuffled,
}

/// The delivery queue.
#[derive(Debug)]
pub(crate) struct Courier {
    client: reqwest::Client,
    slots: Semaphore,
    /// The last POST queued of each thread: the next one waits for it. Invariant: removed by the POST it belongs to.
    tails: Mutex<HashMap<ThreadKey, (u64, CancellationToken)>>,
    /// Cancelled by a reset: discards what was queued before it.
    epoch: Mutex<CancellationToken>,
    /// Updates held back on request.
    held: Mutex<Option<Vec<Update>>>,
    next_id: std::sync::atomic::AtomicU64,
}

/// A POST with its bytes and signatures, which no attempt changes.
#[derive(Clone)]
struct Parcel {
    id: u64,
    account: String,
    threads: HashSet<ThreadKey>,
    body: Bytes,
    headers: HeaderMap,
    updates: u64,
}

impl Courier {
    pub(crate) fn new(concurrency: usize) -> reqwest::Result<Self> {
        // Only the first caller in a process can install a provider; any provider will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            client,
            slots: Semaphore::new(concurrency.max(1)),
            tails: Mutex::default(),
            epoch: Mutex::default(),
            held: Mutex::default(),
            next_id: std::sync::atomic::AtomicU64::new(1),
        })
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Holds updates from now on.
    pub(crate) fn hold(&self) {
        lock(&self.held).get_or_insert_default();
    }

    /// Discards everything queued or held.
    pub(crate) fn forget(&self) {
        std::mem::take(&mut *lock(&self.epoch)).cancel();
        lock(&self.tails).clear();
        lock(&self.held).take();
    }

    fn keep_back(&self, updates: &[Update]) -> bool {
        let mut held = lock(&self.held);
        if let Some(held) = held.as_mut() {
            held.extend_from_slice(updates);
        }
        held.is_some()
    }
}

/// Queues updates, `per_post` per POST, and each POST `duplicates` more times. The tokens are cancelled as
/// each POST ends.
pub(crate) fn dispatch(
    core: &Arc<Core>,
    updates: Vec<Update>,
    per_post: usize,
    duplicates: u32,
) -> Vec<CancellationToken> {
    if updates.is_empty() || core.courier.keep_back(&updates) {
        return Vec::new();
    }
    let mut queued = Vec::new();
    for (target, mut updates) in by_target(core, updates) {
        while !updates.is_empty() {
            let rest = updates.split_off(updates.len().min(per_post.clamp(1, UPDATES_MAX)));
            let sent = std::mem::replace(&mut updates, rest);
            let body = encode::body(&sent);
            let headers = headers(core, &target, &body);
            for _ in 0..=duplicates {
                queued.push(queue(core, &sent, body.clone(), headers.clone()));
            }
        }
    }
    queued
}

/// Releases the held updates.
pub(crate) fn release(core: &Arc<Core>, per_post: usize, order: ReleaseOrder) -> usize {
    let mut updates = lock(&core.courier.held).take().unwrap_or_default();
    match order {
        ReleaseOrder::Sent => {}
        ReleaseOrder::Reversed => updates.reverse(),
        ReleaseOrder::Shuffled => updates.shuffle(&mut rand::rng()),
    }
    let count = updates.len();
    dispatch(core, updates, per_post, 0);
    count
}

/// The target of an account's webhooks.
pub(crate) fn target_of(world: &World, account: &str) -> Option<WebhookTarget> {
    let own = world.accounts.get(account).and_then(|account| account.webhook.clone());
    own.or_else(|| world.settings.webhooks.target.clone())
}

/// Groups subscribed updates by target; those without a target are only counted.
fn by_target(core: &Core, updates: Vec<Update>) -> Vec<(WebhookTarget, Vec<Update>)> {
    let mut groups: Vec<(WebhookTarget, Vec<Update>)> = Vec::new();
    core.change(|world| {
        for update in updates {
            let wanted =
                world.accounts.get(&update.account).is_some_and(|account| account.wants(&update.field));
            let Some(target) = target_of(world, &update.account).filter(|_| wanted) else {
                world.record.undelivered_updates += 1;
                continue;
            };
            match groups.iter_mut().find(|(known, _)| *known == target) {
                Some((_, group)) => group.push(update),
                None => groups.push((target, vec![update])),
            }
        }
    });
    groups
}

/// The headers of a real capture (chatwoot #11983).
pub(super) fn headers(core: &Core, target: &WebhookTarget, body: &[u8]) -> HeaderMap {
    let version = core.read(|world| world.settings.webhooks.api_version.clone());
    let pairs = [
        (USER_AGENT, "facebookexternalua".to_owned()),
        (reqwest::header::ACCEPT_ENCODING, "deflate, gzip".to_owned()),
        (CONTENT_TYPE, "application/json".to_owned()),
        (HeaderName::from_static("x-hub-signature"), encode::signature_1(&target.app_secret, body)),
        (HeaderName::from_static("x-hub-signature-256"), encode::signature_256(&target.app_secret, body)),
        (HeaderName::from_static("facebook-api-version"), version),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
}

fn queue(core: &Arc<Core>, updates: &[Update], body: Bytes, headers: HeaderMap) -> CancellationToken {
    let id = core.courier.next_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let threads: HashSet<ThreadKey> = updates
        .iter()
        .filter_map(|update| Some(ThreadKey::new(&update.account, update.user.as_deref()?)))
        .collect();
    let account = updates.first().map(|update| update.account.clone()).unwrap_or_default();
    let parcel = Parcel { id, account, threads, body, headers, updates: updates.len() as u64 };
    let ordered = core.change(|world| {
        world.record.pending_deliveries += 1;
        if world.settings.keep_records {
            world.record.deliveries.insert(id, recorded(&parcel, updates, core.clock.now_ms()));
        }
        world.settings.webhooks.ordered
    });
    let done = CancellationToken::new();
    let mut earlier = Vec::new();
    if ordered {
        let mut tails = lock(&core.courier.tails);
        for key in &parcel.threads {
            earlier.extend(tails.insert(key.clone(), (id, done.clone())).map(|(_, token)| token));
        }
    }
    let (shared, epoch) = (Arc::clone(core), lock(&core.courier.epoch).clone());
    let guard = done.clone().drop_guard();
    core.spawn(async move {
        epoch.run_until_cancelled(carry(&shared, &parcel, earlier)).await;
        drop(guard);
    });
    done
}

/// Waits for the thread's earlier POSTs, delivers, and leaves the queue.
async fn carry(core: &Arc<Core>, parcel: &Parcel, earlier: Vec<CancellationToken>) {
    for token in earlier {
        token.cancelled().await;
    }
    // Boxed: thousands of POSTs may wait, and only those in progress need the memory.
    Box::pin(deliver(core, parcel)).await;
    let mut tails = lock(&core.courier.tails);
    for key in &parcel.threads {
        if tails.get(key).is_some_and(|(last, _)| *last == parcel.id) {
            tails.remove(key);
        }
    }
}

fn recorded(parcel: &Parcel, updates: &[Update], now: i64) -> Delivery {
    let updates = updates.iter().map(|update| DeliveredUpdate {
        account: update.account.clone(),
        user: update.user.clone(),
        mid: update.mid.clone(),
        field: update.field.clone(),
    });
    Delivery {
        id: parcel.id,
        updates: updates.collect(),
        queued_at: now,
        attempts: Vec::new(),
        acknowledged: false,
        finished: false,
        body: String::from_utf8_lossy(&parcel.body).into_owned(),
    }
}

async fn deliver(core: &Arc<Core>, parcel: &Parcel) {
    let started = Instant::now();
    let mut acknowledged = false;
    for attempt in 0_usize.. {
        acknowledged = self::attempt(core, parcel).await;
        if acknowledged || gives_up(core, parcel, started.elapsed()) {
            break;
        }
        let delay = core.read(|world| {
            let delays = &world.settings.webhooks.retry_delays_ms;
            delays.get(attempt).or(delays.last()).copied().unwrap_or(1_000)
        });
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let duplicate = core.read(|world| world.settings.webhooks.duplicate_probability);
    if acknowledged && rand::random::<f64>() < duplicate {
        attempt(core, parcel).await;
    }
    core.change(|world| {
        world.record.pending_deliveries = world.record.pending_deliveries.saturating_sub(1);
        if let Some(delivery) = world.record.deliveries.get_mut(&parcel.id) {
            (delivery.finished, delivery.acknowledged) = (true, acknowledged);
        }
    });
}

/// One POST. Only 200 counts.
async fn attempt(core: &Arc<Core>, parcel: &Parcel) -> bool {
    let Ok(_slot) = core.courier.slots.acquire().await else { return false };
    // Looked up each time: a receiver may come back on another port.
    let (target, timeout) = core.read(|world| {
        (target_of(world, &parcel.account), Duration::from_millis(world.settings.webhooks.timeout_ms))
    });
    let at = core.clock.now_ms();
    let begun = Instant::now();
    let answer = match target {
        Some(target) => {
            post(&core.courier.client, &target.url, parcel.headers.clone(), parcel.body.clone(), timeout)
                .await
        }
        None => Err("no webhook target".to_owned()),
    };
    let taken = begun.elapsed();
    let acknowledged = answer == Ok(200);
    core.change(|world| {
        let record = &mut world.record;
        if acknowledged {
            record.acknowledged += 1;
            record.updates_acknowledged += parcel.updates;
            record.ack_latency.add_micros(taken.as_micros());
        } else {
            record.failed_attempts += 1;
        }
        if let Some(delivery) = record.deliveries.get_mut(&parcel.id) {
            delivery.attempts.push(Attempt {
                at,
                status: answer.as_ref().ok().copied(),
                error: answer.err(),
                latency_ms: u64::try_from(taken.as_millis()).unwrap_or(u64::MAX),
            });
        }
    });
    acknowledged
}

pub(super) async fn post(
    client: &reqwest::Client,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
) -> Result<u16, String> {
    let request = client.post(url).headers(headers).body(body).timeout(timeout);
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    // Read to the end, so that the connection is reused.
    answer.bytes().await.map_err(|error| format!("{error:?}"))?;
    Ok(status)
}

/// After the timeout Meta drops the update; according to one page it also unsubscribes the account.
fn gives_up(core: &Core, parcel: &Parcel, failing_for: Duration) -> bool {
    let failing_ms = u64::try_from(failing_for.as_millis()).unwrap_or(u64::MAX);
    core.change(|world| {
        let webhooks = &world.settings.webhooks;
        let disabled = webhooks.disable_after_ms.is_some_and(|limit| failing_ms >= limit);
        let dropped = failing_ms >= webhooks.give_up_after_ms;
        if disabled && let Some(account) = world.accounts.get_mut(&parcel.account) {
            account.subscribed = None;
        }
        disabled || dropped
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
