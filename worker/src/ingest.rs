//! Taking events in. A job wakes the worker, which claims whatever waits, up to a group: groups form from SQL, and not from
//! how fast the queue hands out single jobs.

use crate::Context;
use crate::breakers::of_agent;
use crate::follow::{self, Hands};
use dmrelay_domain::conversation::{Command, Fact, Receive, Reply, Route, StartTurn};
use dmrelay_domain::event::Kind;
use dmrelay_domain::ids::{ChatId, ConnectionId, EventId, InstagramUserId, TurnId};
use dmrelay_domain::retry;
use dmrelay_domain::states::{ConnectionStatus, EventState};
use dmrelay_domain::trace::TraceId;
use dmrelay_runtime::span_of;
use dmrelay_store::{ApplyError, ClaimedEvent, Connection, EVENTS_MAX, Result};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

/// Events claimed by one statement.
const GROUP_MAX: usize = 256;

/// Conversations whose events are being taken in at a time; beyond that nothing is claimed.
const UNDER_WAY_MAX: usize = 1_024;

/// How long a claim lasts: as long as taking an event in may take.
const CLAIM_DURATION: Duration = Duration::from_secs(30);

/// How long events are waited for to come together, while they come faster than one at a time.
const LINGER: Duration = Duration::from_millis(3);

/// How many of the events claimed last are remembered: a job of theirs wakes nobody.
const REMEMBERED_MAX: usize = 4_096;

/// How long claimed events are left alone when the database cannot be written.
const UNAVAILABLE_DELAY: Duration = Duration::from_secs(1);

/// What wakes the one who claims.
#[derive(Default)]
pub(crate) struct Inbox {
    wake: Notify,
    claimed: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// Since when each is claimed.
    ids: HashMap<EventId, Instant>,
    order: VecDeque<EventId>,
}

/// A conversation with events to take in.
struct Waiting {
    chat: ChatId,
    connection: Arc<Connection>,
    user: InstagramUserId,
    events: Vec<EventId>,
    failures: i32,
    /// The trace of the first of them.
    trace: Option<TraceId>,
}

/// The same before its chat is known.
struct Found {
    connection: Arc<Connection>,
    events: Vec<EventId>,
    failures: i32,
    trace: Option<TraceId>,
}

impl Found {
    fn new(connection: Arc<Connection>, trace: Option<TraceId>) -> Self {
        Self { connection, events: Vec::new(), failures: 0, trace }
    }
}

impl Inbox {
    /// A job says that an event waits. Gives whether that was not known yet.
    pub(crate) fn wake(&self, event: EventId) -> bool {
        if self.lock().ids.get(&event).is_some_and(|claimed| claimed.elapsed() < CLAIM_DURATION) {
            return false;
        }
        self.wake.notify_one();
        true
    }

    fn remember(&self, events: &[ClaimedEvent]) {
        let mut remembered = self.lock();
        for event in events {
            if remembered.ids.insert(event.id, Instant::now()).is_none() {
                remembered.order.push_back(event.id);
            }
        }
        while remembered.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = remembered.order.pop_front() {
                remembered.ids.remove(&oldest);
            }
        }
    }

    fn forget(&self, events: &[EventId]) {
        let mut remembered = self.lock();
        for event in events {
            remembered.ids.remove(event);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Claims events whenever a job says that some wait, until the worker stops.
pub(crate) async fn run(ctx: Arc<Context>) {
    let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while ctx.stopping.run_until_cancelled(ctx.inbox.wake.notified()).await.is_some() {
        loop {
            if ctx.stopping.is_cancelled() || !ctx.liveness.is_alive() {
                break;
            }
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match ctx.store.claim_events(GROUP_MAX as u64, CLAIM_DURATION).await {
                Ok(events) => {
                    let count = events.len();
                    ctx.inbox.remember(&events);
                    if count > 0 {
                        let ctx_of_task = ctx.clone();
                        ctx.tasks.spawn(async move { take_in(&ctx_of_task, events, permit).await });
                    }
                    match count {
                        0 | 1 => break,
                        GROUP_MAX => {}
                        _ => tokio::time::sleep(LINGER).await,
                    }
                }
                Err(err) => {
                    tracing::warn!(error = %err, "events not claimed, the poller will find them");
                    break;
                }
            }
        }
    }
}

async fn take_in(ctx: &Arc<Context>, events: Vec<ClaimedEvent>, permit: OwnedSemaphorePermit) {
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    match sort_out(ctx, events).await {
        Ok(waiting) => {
            let all = waiting.into_iter().map(|one| {
                let span = span_of!(one.trace, "ingest");
                take_in_one(ctx, one).instrument(span)
            });
            futures::future::join_all(all).await;
        }
        Err(err) => {
            tracing::warn!(error = %err, "events not taken in, tried again");
            give_back(ctx, &ids, UNAVAILABLE_DELAY).await;
        }
    }
    drop(permit);
}

/// Which conversations the events belong to. Those that belong to none are done.
async fn sort_out(ctx: &Context, events: Vec<ClaimedEvent>) -> Result<Vec<Waiting>> {
    let mut settled = Vec::new();
    let mut found: HashMap<(ConnectionId, InstagramUserId), Found> = HashMap::new();
    for event in events {
        let connection = ctx.accounts.by_account(&event.account).await?;
        let connection = connection.filter(|connection| connection.status != ConnectionStatus::Pending);
        let Some(connection) = connection else {
            // Nobody connected this account; a late connect takes it.
            settled.push((event.id, EventState::Unrouted));
            continue;
        };
        let state = match event.kind {
            // A kind of a later version is left to a later version.
            None => continue,
            Some(Kind::Comment | Kind::Mention) => Some(EventState::Kept),
            Some(Kind::Ignored | Kind::Unknown) => Some(EventState::Unknown),
            Some(_) => None,
        };
        match (state, InstagramUserId::parse(&event.thread)) {
            (None, Ok(user)) => {
                let key = (connection.id, user);
                let entry = found.entry(key).or_insert_with(|| Found::new(connection, event.trace));
                entry.events.push(event.id);
                entry.failures = entry.failures.max(event.failures);
            }
            (state, _) => settled.push((event.id, state.unwrap_or(EventState::Unknown))),
        }
    }
    ctx.store.settle_events(&settled).await?;
    // A late connect brings them back.
    let done: Vec<EventId> = settled.iter().map(|(event, _)| *event).collect();
    ctx.inbox.forget(&done);
    for (_, state) in &settled {
        ctx.metrics.ingested.with_label_values(&[state.as_str()]).inc();
    }
    let users: Vec<_> = found.keys().cloned().collect();
    let chats = ctx.chat_ids.of(&ctx.store, &users).await?;
    let waiting = users.into_iter().zip(chats).filter_map(|(key, chat)| {
        let Found { connection, events, failures, trace } = found.remove(&key)?;
        Some(Waiting { chat, connection, user: key.1, events, failures, trace })
    });
    Ok(waiting.collect())
}

async fn take_in_one(ctx: &Arc<Context>, waiting: Waiting) {
    let began = Instant::now();
    let connection = &waiting.connection;
    ctx.accounts.touch(connection.id).await;
    let route = Route {
        agent: connection.agent.clone(),
        account: connection.account.clone(),
        login: connection.login,
    };
    // One transaction takes in only so many.
    loop {
        // A turn that may begin at once begins in the same transaction, if there is a slot for it.
        let debounce = connection.settings.debounce_ms.unwrap_or(ctx.options.worker.debounce_ms);
        let may_ask = debounce == 0 && ctx.breakers.are_closed(&of_agent(&route), ctx.database_now());
        let slot = if may_ask { ctx.slots.ask(&route.agent) } else { None };
        let timer = ctx.timers.has_room();
        let start =
            slot.as_ref().map(|_| StartTurn { worker: ctx.worker, turn: TurnId::new(), agent_chat: None });
        let receive = Receive { events: Vec::new(), start, events_max: None, timer };
        match ctx.apply(waiting.chat, Command::Receive(receive)).await {
            Ok(applied) => {
                ctx.count_job("ingest", &applied.reply, began);
                let taken = applied.facts.iter().filter(|fact| **fact == Fact::Ingested).count();
                follow::follow(ctx, applied, Hands { ask: slot, send: None, timer }).await;
                if taken < EVENTS_MAX {
                    return;
                }
            }
            Err(ApplyError::Refused(error)) => return one_by_one(ctx, &waiting, &error).await,
            Err(ApplyError::Conflict) => {
                return one_by_one(ctx, &waiting, "another row has the same key").await;
            }
            Err(err) => {
                tracing::warn!(chat = %waiting.chat, error = %err, "events not taken in, tried again");
                return give_back(ctx, &waiting.events, UNAVAILABLE_DELAY).await;
            }
        }
    }
}

/// One of the events cannot be taken in, because of what it says: those before it are, one at a time, and it is tried again
/// later, or becomes a dead letter.
async fn one_by_one(ctx: &Arc<Context>, waiting: &Waiting, error: &str) {
    for _ in &waiting.events {
        let receive = Receive { events: Vec::new(), start: None, events_max: Some(1), timer: false };
        match ctx.apply(waiting.chat, Command::Receive(receive)).await {
            Ok(applied) if applied.reply == Reply::Idle => return,
            Ok(applied) => follow::follow(ctx, applied, Hands::default()).await,
            Err(ApplyError::Refused(_) | ApplyError::Conflict) => {
                let failures = u32::try_from(waiting.failures).unwrap_or(0) + 1;
                let (delay, most) = (retry::INGEST.delay(failures), ctx.options.policy().ingest_attempts_max);
                let place = (waiting.connection.account.as_str(), waiting.user.as_str());
                match ctx.store.fail_first_event(place, delay, most, error).await {
                    Ok(true) => {
                        ctx.metrics.ingested.with_label_values(&[EventState::Dead.as_str()]).inc();
                    }
                    Ok(false) => tracing::warn!(chat = %waiting.chat, error, "an event cannot be taken in"),
                    Err(err) => {
                        tracing::warn!(chat = %waiting.chat, error = %err, "a failed event was not noted");
                    }
                }
                give_back(ctx, &waiting.events, Duration::ZERO).await;
                return;
            }
            Err(_) => return give_back(ctx, &waiting.events, UNAVAILABLE_DELAY).await,
        }
    }
}

async fn give_back(ctx: &Context, events: &[EventId], delay: Duration) {
    ctx.inbox.forget(events);
    if let Err(err) = ctx.store.release_events(events, delay).await {
        tracing::warn!(error = %err, "events not given back, the poller finds them when their claim is over");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_wakes_nobody_while_its_event_is_claimed_and_wakes_again_when_the_claim_is_over() {
        let inbox = Inbox::default();
        let claimed = || ClaimedEvent {
            id: uuid::Uuid::now_v7().into(),
            account: "1".to_owned(),
            thread: "2".to_owned(),
            kind: None,
            failures: 0,
            trace: None,
        };
        let (fresh, stale) = (claimed(), claimed());
        inbox.remember(&[fresh.clone(), stale.clone()]);
        let long_ago = Instant::now().checked_sub(CLAIM_DURATION).unwrap();
        inbox.lock().ids.insert(stale.id, long_ago);
        assert!(!inbox.wake(fresh.id));
        assert!(inbox.wake(stale.id), "an event whose claim is over is never taken in again");
        inbox.forget(&[fresh.id]);
        assert!(inbox.wake(fresh.id));
        assert!(inbox.wake(claimed().id));
    }
}
