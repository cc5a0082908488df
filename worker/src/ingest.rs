//! Ingests events in groups. As long as jobs arrive soon after they were pushed, a group is what they named since the
//! last one. Once the queue is behind, whatever waits is claimed instead, account by account in turn: the order of
//! the queue is that of the accounts that send most.

use crate::Context;
use crate::follow::{self, Hands};
use crate::inbox::{CLAIM_DURATION, GROUP_MAX, Next};
use dmrelay_domain::conversation::{Command, Fact, Receive, Refusal, Reply, StartTurn};
use dmrelay_domain::event::Kind;
use dmrelay_domain::ids::{ChatId, ConnectionId, EventId, InstagramUserId, TurnId};
use dmrelay_domain::retry;
use dmrelay_domain::states::{ConnectionStatus, EventState};
use dmrelay_domain::trace::TraceId;
use dmrelay_runtime::span_of;
use dmrelay_store::{ApplyError, Call, ChatOfUser, ClaimedEvent, Connection, EVENTS_MAX, Result};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

/// Maximum number of conversations ingested concurrently; beyond it nothing is claimed.
const CONVERSATIONS_MAX: usize = 1_024;

/// How long to wait for more events to group while they arrive faster than one at a time.
const LINGER: Duration = Duration::from_millis(3);

/// Delay before claimed events are retried when the database cannot be written.
const UNAVAILABLE_DELAY: Duration = Duration::from_secs(1);

/// A conversation with events to ingest.
struct Waiting {
    chat: ChatId,
    connection: Arc<Connection>,
    user: InstagramUserId,
    events: Vec<EventId>,
    /// The trace of the first event.
    trace: Option<TraceId>,
}

/// The same before its chat is known.
struct Found {
    connection: Arc<Connection>,
    events: Vec<EventId>,
    trace: Option<TraceId>,
}

impl Found {
    fn new(connection: Arc<Connection>, trace: Option<TraceId>) -> Self {
        Self { connection, events: Vec::new(), trace }
    }
}

/// Takes in events whenever jobs report waiting ones, until the worker stops.
pub(crate) async fn run(ctx: Arc<Context>) {
    let room = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
    while ctx.stopping.run_until_cancelled(ctx.inbox.wake.notified()).await.is_some() {
        loop {
            if ctx.stopping.is_cancelled() || !ctx.liveness.is_alive() {
                break;
            }
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let (count, events) = match ctx.inbox.next() {
                Next::Named(named) if named.is_empty() => break,
                Next::Named(named) => (named.len(), ctx.store.waiting_events(&named).await),
                Next::Any => {
                    let claimed = ctx.store.claim_events(GROUP_MAX as u64, CLAIM_DURATION).await;
                    let count = claimed.as_ref().map_or(0, Vec::len);
                    if count > 1 {
                        ctx.inbox.claim_again();
                    }
                    (count, claimed)
                }
            };
            match events {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    ctx.inbox.remember(&events);
                    let ctx_of_task = ctx.clone();
                    ctx.tasks.spawn(async move { take_in(&ctx_of_task, events, permit).await });
                }
                Err(err) => {
                    tracing::warn!(error = %err, "cannot look for events; all that wait are claimed at the next job");
                    ctx.inbox.claim_again();
                    break;
                }
            }
            if (2..GROUP_MAX).contains(&count) {
                tokio::time::sleep(LINGER).await;
            }
        }
    }
}

async fn take_in(ctx: &Arc<Context>, events: Vec<ClaimedEvent>, permit: OwnedSemaphorePermit) {
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    match sort_out(ctx, events).await {
        Ok((waiting, apart)) => {
            let all = waiting.into_iter().map(|one| {
                let span = span_of!(one.trace, "ingest");
                take_in_one(ctx, one).instrument(span)
            });
            futures::future::join_all(all).await;
            settle_apart(ctx, apart).await;
        }
        Err(err) => {
            tracing::warn!(error = %err, "cannot ingest events; retrying");
            give_back(ctx, &ids, UNAVAILABLE_DELAY).await;
        }
    }
    drop(permit);
}

/// Events that belong to no conversation and need more than a mark.
#[derive(Default)]
struct Apart {
    /// Not understood, each with the reason.
    not_understood: Vec<(EventId, String)>,
    /// Comments and mentions.
    comments: Vec<(EventId, Arc<Connection>)>,
    /// What Meta tells of whole accounts.
    policy: Vec<(EventId, Arc<Connection>)>,
}

/// Groups events by conversation. Events that belong to none are marked as processed, or set apart.
async fn sort_out(ctx: &Context, events: Vec<ClaimedEvent>) -> Result<(Vec<Waiting>, Apart)> {
    let mut settled = Vec::new();
    let mut apart = Apart::default();
    let mut found: HashMap<(ConnectionId, InstagramUserId), Found> = HashMap::new();
    for event in events {
        let connection = ctx.accounts.by_account(&event.account).await?;
        let connection = connection.filter(|connection| connection.status != ConnectionStatus::Pending);
        let Some(connection) = connection else {
            if event.account.is_empty() {
                let what = "the webhook is not understood: it names no account";
                apart.not_understood.push((event.id, what.to_owned()));
                continue;
            }
            // The account is not connected; a later connect ingests the event.
            settled.push((event.id, EventState::Unrouted));
            continue;
        };
        match (event.kind, InstagramUserId::parse(&event.thread)) {
            // Kinds unknown to this version are left to a newer one.
            (None, _) => {}
            (Some(Kind::Comment | Kind::Mention), _) => apart.comments.push((event.id, connection)),
            (Some(Kind::Ignored), _) => {
                settled.push((event.id, EventState::Kept));
            }
            (Some(Kind::PolicyEnforcement), _) => apart.policy.push((event.id, connection)),
            (Some(_), Ok(user)) => {
                let key = (connection.id, user);
                let entry = found.entry(key).or_insert_with(|| Found::new(connection, event.trace));
                entry.events.push(event.id);
            }
            (Some(kind), Err(_)) => {
                apart.not_understood.push((event.id, format!("{kind} without a user: it is not understood")));
            }
        }
    }
    ctx.store.settle_events(&settled).await?;
    // A later connect ingests these.
    let done: Vec<EventId> = settled.iter().map(|(event, _)| *event).collect();
    ctx.inbox.forget(&done);
    for (_, state) in &settled {
        ctx.metrics.ingested.with_label_values(&[state.as_str()]).inc();
    }
    let users: Vec<_> = found.keys().cloned().collect();
    let chats = ctx.chat_ids.of(&ctx.store, &users).await?;
    let mut waiting = Vec::with_capacity(users.len());
    let mut late = Vec::new();
    for (key, chat) in users.into_iter().zip(chats) {
        let Some(Found { connection, events, trace }) = found.remove(&key) else { continue };
        match chat {
            ChatOfUser::Is(chat) => waiting.push(Waiting { chat, connection, user: key.1, events, trace }),
            ChatOfUser::Erased => late.extend(events),
            ChatOfUser::Gone => give_back(ctx, &events, UNAVAILABLE_DELAY).await,
        }
    }
    erase_late(ctx, &late).await?;
    Ok((waiting, apart))
}

/// What was delivered late of users who were erased is not stored again.
async fn erase_late(ctx: &Context, events: &[EventId]) -> Result<()> {
    ctx.store.erase_late_events(events).await?;
    ctx.inbox.forget(events);
    let erased = ctx.metrics.ingested.with_label_values(&[EventState::Erased.as_str()]);
    erased.inc_by(u64::try_from(events.len()).unwrap_or(u64::MAX));
    Ok(())
}

/// Settles what belongs to no conversation. What fails is looked at again when its claim expires.
async fn settle_apart(ctx: &Context, apart: Apart) {
    let ids: Vec<EventId> = apart.not_understood.iter().map(|(event, _)| *event).collect();
    if !ids.is_empty() {
        match ctx.store.bury_events(&apart.not_understood).await {
            Ok(()) => {
                let unknown = ctx.metrics.ingested.with_label_values(&[EventState::Unknown.as_str()]);
                unknown.inc_by(u64::try_from(ids.len()).unwrap_or(u64::MAX));
            }
            Err(err) => tracing::warn!(error = %err, "cannot write dead letters of events; retrying"),
        }
    }
    for (event, connection) in &apart.policy {
        match ctx.store.keep_policy_event(connection, *event).await {
            Ok(Some((action, reason))) => {
                tracing::warn!(connection = %connection.id, action, reason, "Meta warned or restricted the account");
                ctx.metrics.ingested.with_label_values(&[EventState::Kept.as_str()]).inc();
            }
            Ok(None) => {}
            Err(err) => tracing::warn!(%event, error = %err, "cannot keep an event; retrying"),
        }
    }
    for (event, connection) in &apart.comments {
        match ctx.store.keep_comment(connection, *event).await {
            Ok(Some(is_due)) => {
                ctx.metrics.ingested.with_label_values(&[EventState::Processed.as_str()]).inc();
                if is_due {
                    ctx.comments_came.notify_one();
                }
            }
            Ok(None) => {}
            Err(err) => tracing::warn!(%event, error = %err, "cannot keep a comment; retrying"),
        }
    }
    let others = apart.policy.iter().chain(&apart.comments).map(|(event, _)| *event);
    ctx.inbox.forget(&ids.into_iter().chain(others).collect::<Vec<_>>());
}

async fn take_in_one(ctx: &Arc<Context>, waiting: Waiting) {
    let began = Instant::now();
    let connection = &waiting.connection;
    ctx.accounts.touch(connection.id).await;
    let route = ctx.route(connection);
    // Limits the number of events per transaction.
    loop {
        // A turn that may begin at once begins in the same transaction, if there is a slot.
        let debounce = connection.settings.debounce_ms.unwrap_or(ctx.options.worker.debounce_ms);
        let may_ask = debounce == 0 && ctx.breakers.is_free(Call::Ask, &route, ctx.database_now());
        let may_ask = may_ask && ctx.budgets.wait(connection.id, &route, ctx.database_now()).is_none();
        let slot = if may_ask { ctx.slots.ask(&route) } else { None };
        let timer = ctx.timers.has_room();
        let start = slot.as_ref().map(|_| StartTurn {
            worker: ctx.worker,
            turn: TurnId::new(),
            agent_chat: None,
            not_before: None,
        });
        let receive = Receive { events: Vec::new(), start, only: None, timer };
        match ctx.apply(waiting.chat, Command::Receive(receive)).await {
            Ok(applied) if applied.reply == Reply::Refused(Refusal::NotConnected) => {
                ctx.accounts.forget(connection.id);
                return give_back(ctx, &waiting.events, Duration::ZERO).await;
            }
            Ok(applied) => {
                ctx.count_job("ingest", &applied.reply, began);
                let taken = applied.facts.iter().filter(|fact| matches!(fact, Fact::Ingested(_))).count();
                follow::follow(ctx, applied, Hands { ask: slot, send: None, timer }).await;
                if taken < EVENTS_MAX {
                    return;
                }
            }
            Err(ApplyError::Refused(_) | ApplyError::Conflict) => return one_by_one(ctx, &waiting).await,
            // It was erased since it was found.
            Err(ApplyError::Missing) => {
                ctx.chat_ids.forget(connection.id, &waiting.user);
                return give_back(ctx, &waiting.events, Duration::ZERO).await;
            }
            Err(err) => {
                tracing::warn!(chat = %waiting.chat, error = %err, "cannot ingest events; retrying");
                return give_back(ctx, &waiting.events, UNAVAILABLE_DELAY).await;
            }
        }
    }
}

/// One of the events cannot be ingested because of its content: all that wait in the conversation are ingested one
/// by one, and that one is retried later or becomes a dead letter.
async fn one_by_one(ctx: &Arc<Context>, waiting: &Waiting) {
    let mut last = None;
    for _ in 0..EVENTS_MAX {
        let next = ctx.store.next_event(waiting.connection.account.as_str(), waiting.user.as_str()).await;
        let outcome = match next {
            // It was passed over: it is of a later version.
            Ok(Some(next)) if last == Some(next.id) => Err("an event is of a later version".to_owned()),
            Ok(Some(next)) => {
                last = Some(next.id);
                just_one(ctx, waiting, &next).await
            }
            Ok(None) => return,
            Err(err) => Err(err.to_string()),
        };
        if let Err(error) = outcome {
            tracing::warn!(chat = %waiting.chat, error, "cannot ingest events; retrying");
            return give_back(ctx, &waiting.events, UNAVAILABLE_DELAY).await;
        }
    }
    give_back(ctx, &waiting.events, Duration::ZERO).await;
}

async fn just_one(
    ctx: &Arc<Context>,
    waiting: &Waiting,
    event: &ClaimedEvent,
) -> std::result::Result<(), String> {
    let receive = Receive { events: Vec::new(), start: None, only: Some(event.id), timer: false };
    let error = match ctx.apply(waiting.chat, Command::Receive(receive)).await {
        Ok(applied) if applied.reply == Reply::Refused(Refusal::NotConnected) => {
            ctx.accounts.forget(waiting.connection.id);
            return Err("its account was disconnected in this moment".to_owned());
        }
        Ok(applied) => {
            follow::follow(ctx, applied, Hands::default()).await;
            return Ok(());
        }
        Err(ApplyError::Refused(error)) => error,
        Err(ApplyError::Conflict) => "another row has the same key".to_owned(),
        Err(err) => return Err(err.to_string()),
    };
    let failures = u32::try_from(event.failures).unwrap_or(0) + 1;
    let (delay, most) = (retry::INGEST.delay(failures), ctx.options.policy().ingest_attempts_max);
    let is_dead = ctx.store.fail_event(event, delay, most, &error).await.map_err(|err| err.to_string())?;
    // Its next job is news.
    ctx.inbox.forget(&[event.id]);
    if is_dead {
        ctx.metrics.ingested.with_label_values(&[EventState::Dead.as_str()]).inc();
    } else {
        tracing::warn!(chat = %waiting.chat, event = %event.id, error, "cannot ingest an event");
    }
    Ok(())
}

async fn give_back(ctx: &Context, events: &[EventId], delay: Duration) {
    ctx.inbox.forget(events);
    if let Err(err) = ctx.store.release_events(events, delay).await {
        tracing::warn!(error = %err, "cannot release events; the poller picks them up when their claim expires");
    }
}
