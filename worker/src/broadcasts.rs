//! Sends broadcasts: one of each account at a time, at its pace, and only so many messages on their way at once that answers do not wait
//! behind them. A broadcast is held by one worker for a while; the id of each customer's message is written down before it is queued, so that
//! another worker, after a crash, queues the same message and not a second one.

use crate::Context;
use crate::follow::{Hands, follow};
use crate::rounds::Rounds;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{Broadcast, BroadcastContent, Command, Reply};
use dmrelay_domain::outgoing::Template;
use dmrelay_domain::states::{BroadcastState, ConnectionStatus, Skipped};
use dmrelay_store::entity::broadcast::Model;
use dmrelay_store::{ApplyError, DueRecipient, Result, Told};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Broadcasts that a worker sends at a time.
const AT_A_TIME: usize = 8;

/// A worker holds a broadcast for this part of its lease before it gives it back, and others may come to their turn.
const HOLD_PART: u32 = 3;

/// How often it is looked what has become of the messages on their way.
const STEP: Duration = Duration::from_millis(100);

/// How often it is counted how far a broadcast has come.
const COUNT_INTERVAL: Duration = Duration::from_secs(2);

/// How long a broadcast is not looked at in which nobody is due.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long a customer waits whose conversation could not be written.
const CHAT_DELAY: Duration = Duration::from_secs(10);

/// How long a broadcast waits after an error.
const ERROR_DELAY: Duration = Duration::from_secs(5);

/// How long a broadcast waits whose account cannot send.
const UNUSABLE_DELAY: Millis = 30_000;

/// Sends what is due, until `shutdown`.
pub(crate) async fn run(ctx: Arc<Context>, shutdown: CancellationToken) {
    let never = Notify::new();
    let rounds = Rounds { what: "broadcasts", at_a_time: AT_A_TIME, woken: &never };
    let claim = |free| ctx.store.claim_broadcasts(ctx.worker, ctx.options.worker.lease, free);
    let attempt = |row: Model| {
        let (ctx, shutdown) = (ctx.clone(), shutdown.clone());
        async move { hold(&ctx, &row, &shutdown).await }
    };
    rounds.run(&ctx, shutdown.clone(), claim, attempt).await;
}

/// A broadcast while it is held.
struct Held {
    /// How long nobody is due.
    idle: Duration,
    /// When its next message may be sent, in microseconds of the database's clock.
    next_us: i64,
    /// Messages on their way.
    in_flight: u64,
}

/// Sends a broadcast for a while, and gives it back.
async fn hold(ctx: &Arc<Context>, row: &Model, shutdown: &CancellationToken) {
    let mut held = Held { next_us: row.next_us, in_flight: 0, idle: Duration::ZERO };
    let mut wait = Duration::ZERO;
    if let Err(err) = send(ctx, row, shutdown, &mut held).await {
        tracing::warn!(broadcast = %row.id, error = %err, "cannot go on with a broadcast; retrying");
        wait = ERROR_DELAY;
    } else if held.in_flight == 0 {
        wait = until(ctx, held.next_us).max(held.idle);
    }
    if let Err(err) = ctx.store.give_back_broadcast(row.id, ctx.worker, (held.next_us, wait)).await {
        tracing::warn!(broadcast = %row.id, error = %err, "cannot give a broadcast back; it waits for a while");
    }
}

/// How long until this time of the database's clock, in microseconds.
fn until(ctx: &Context, us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us - ctx.database_now() * 1_000).unwrap_or(0))
}

async fn send(ctx: &Arc<Context>, row: &Model, shutdown: &CancellationToken, held: &mut Held) -> Result<()> {
    let Some(connection) = ctx.store.connection_by_id(row.connection_id).await? else { return Ok(()) };
    if connection.status == ConnectionStatus::Disconnected {
        // Whoever has the account now, or connects it later, did not want it.
        let actor = Actor::from("system");
        ctx.store.change_broadcast(&connection, row.id, BroadcastState::Cancelled, &actor).await?;
        return Ok(());
    }
    let content = Arc::new(content_of(row));
    let in_flight_max = u64::from(ctx.options.worker.broadcasts.broadcast_in_flight);
    let (began, hold) = (Instant::now(), ctx.options.worker.lease / HOLD_PART);
    let mut is_collected = row.collected;
    let mut counted: Option<Instant> = None;
    while began.elapsed() < hold && !shutdown.is_cancelled() {
        if !is_collected {
            is_collected = ctx.store.collect_recipients(row, ctx.worker).await?;
        }
        held.in_flight = ctx.store.settle_recipients(row.id).await?;
        if is_collected && counted.is_none_or(|at| at.elapsed() >= COUNT_INTERVAL) {
            counted = Some(Instant::now());
            if ctx.store.advance_broadcast(&connection, row.id).await? {
                return Ok(());
            }
        }
        // Somebody may have paused it, or another worker have it.
        if !ctx.liveness.is_alive() || !ctx.store.is_broadcast_ours(row.id, ctx.worker).await? {
            return Ok(());
        }
        let now_us = ctx.database_now() * 1_000;
        let room = in_flight_max.saturating_sub(held.in_flight);
        let may = allowed(row.interval_us, now_us, &mut held.next_us).min(room);
        if may > 0 {
            let due = ctx.store.due_recipients(row.id, may).await?;
            let told = tell(ctx, row, &content, &due).await?;
            // Only what is sent counts for the pace: who is spared costs no time.
            held.in_flight += told.sent;
            let sent = i64::try_from(told.sent).unwrap_or(i64::MAX);
            held.next_us = held.next_us.saturating_add(row.interval_us.saturating_mul(sent));
            if told.is_unusable {
                held.next_us = now_us + UNUSABLE_DELAY * 1_000;
                return Ok(());
            }
            if told.sent == 0 && !due.is_empty() {
                continue;
            }
            if due.is_empty() && is_collected {
                // Whoever is answered now is looked at again later.
                held.idle = ctx.store.next_recipient(row.id).await?.unwrap_or_default().min(IDLE_MAX);
                if held.in_flight == 0 && held.idle > STEP {
                    return Ok(());
                }
            }
        }
        let wait = until(ctx, held.next_us);
        if held.in_flight == 0 && wait > hold {
            return Ok(());
        }
        // What is on its way frees room for the next; what only waits, for an account's pause to end, is not looked at so often.
        let is_full = held.in_flight >= in_flight_max || !held.idle.is_zero();
        let wait = if is_full { STEP * 3 } else { wait };
        tokio::time::sleep(wait.clamp(STEP, STEP * 10)).await;
    }
    Ok(())
}

/// How many messages may be sent by now. What was not sent in time is not made up for.
fn allowed(interval_us: i64, now_us: i64, next_us: &mut i64) -> u64 {
    let interval = interval_us.max(1);
    let step = i64::try_from(STEP.as_micros()).unwrap_or(i64::MAX);
    *next_us = (*next_us).max(now_us - 2 * step);
    if now_us < *next_us { 0 } else { u64::try_from((now_us - *next_us) / interval + 1).unwrap_or(0) }
}

/// What came of telling some customers.
#[derive(Default)]
struct Outcome {
    sent: u64,
    is_unusable: bool,
}

async fn tell(
    ctx: &Arc<Context>,
    row: &Model,
    content: &Arc<BroadcastContent>,
    due: &[DueRecipient],
) -> Result<Outcome> {
    let settings = &ctx.options.worker.broadcasts;
    let most = i32::from(settings.broadcast_tries);
    let apply = |due: DueRecipient| async move {
        let broadcast = Broadcast { id: row.id, message: due.message, content: content.clone() };
        (due, ctx.conversations.apply(due.chat, Command::Broadcast(broadcast)).await)
    };
    let applied = join_all(due.iter().copied().map(apply)).await;
    let mut outcome = Outcome::default();
    let (mut told, mut follow_ups) = (Vec::new(), Vec::new());
    for (DueRecipient { chat, tries, .. }, applied) in applied {
        match applied {
            Ok(applied) => {
                match applied.reply {
                    Reply::Skipped(why @ (Skipped::AgentAnswers | Skipped::HumanAnswers)) => {
                        let is_last = tries + 1 >= most;
                        let later = Told::Later(why, settings.broadcast_retry);
                        told.push((chat, if is_last { Told::Skipped(why) } else { later }));
                    }
                    Reply::Skipped(why) => told.push((chat, Told::Skipped(why))),
                    Reply::Refused(_) => outcome.is_unusable = true,
                    _ => {
                        outcome.sent += 1;
                        told.push((chat, Told::Queued));
                    }
                }
                follow_ups.push(applied);
            }
            Err(ApplyError::Missing) => told.push((chat, Told::Skipped(Skipped::Gone))),
            // Others come first.
            Err(err) => {
                tracing::debug!(%chat, error = %err, "a broadcast could not be queued; trying again");
                told.push((chat, Told::Later(Skipped::AgentAnswers, CHAT_DELAY)));
            }
        }
    }
    ctx.store.record_told(row.id, &told).await?;
    for applied in follow_ups {
        follow(ctx, applied, Hands::default()).await;
    }
    Ok(outcome)
}

fn content_of(row: &Model) -> BroadcastContent {
    let template = row.template_id.map(|id| json!({ "id": id, "version": row.template_version }));
    BroadcastContent {
        message: Template::stored(serde_json::from_str(&row.message).unwrap_or_default()),
        variables: serde_json::from_str(&row.variables).unwrap_or_default(),
        template,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept_and_not_made_up_for() {
        let second = 1_000_000;
        let mut next = 0;
        // The first at once, whatever time has passed.
        assert_eq!(allowed(second, 100 * second, &mut next), 1);
        next += second;
        assert_eq!(allowed(second, 100 * second, &mut next), 0);
        assert_eq!(allowed(second, 101 * second, &mut next), 1);
        // Two hundred a second: some in each step.
        let mut next = 50 * second;
        assert_eq!(allowed(5_000, 50 * second + 100_000, &mut next), 21);
    }
}
