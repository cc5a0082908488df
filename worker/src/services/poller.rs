//! The poller: gives due work that no one holds to a worker. A failing part does not block the others.

use crate::Context;
use crate::dispatch::Work;
use dmrelay_domain::conversation::{Command, Effect, Release};
use dmrelay_domain::ids::ChatId;
use dmrelay_queue::{Pushed, QueueName};
use dmrelay_store::{ApplyError, Attempts, DueWork, Result};
use std::sync::Arc;
use std::time::Duration;

/// Rows of one kind reserved per statement.
const PAGE_MAX: u64 = 500;

/// Pages per tick, so that a long backlog does not keep the leader lease from being renewed.
const PAGES_MAX: usize = 8;

/// Chats returned to the agent per tick.
const RESUMES_MAX: u64 = 400;

/// The chat queues and the work each carries.
const CHAT_QUEUES: [(QueueName, DueWork, Attempts); 4] = [
    (QueueName::Turn, DueWork::Turns, Attempts::First),
    (QueueName::Deliver, DueWork::Outboxes, Attempts::First),
    (QueueName::TurnRetry, DueWork::Turns, Attempts::Later),
    (QueueName::DeliverRetry, DueWork::Outboxes, Attempts::Later),
];

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let mut outcome = Ok(());
    let mut note = |part: &'static str, result: Result<()>| {
        if let Err(err) = result {
            tracing::warn!(part, error = %err, "a part of the poller's tick failed");
            outcome = Err(err);
        }
    };
    note("orphans", orphans(&ctx).await);
    note("resumes", resumes(&ctx).await);
    note("events", events(&ctx).await);
    for (queue, work, attempts) in CHAT_QUEUES {
        note(queue.as_str(), chats(&ctx, queue, work, attempts).await);
    }
    outcome
}

/// Reconciles the calls of dead workers.
async fn orphans(ctx: &Arc<Context>) -> Result<()> {
    let orphans = ctx.store.orphans().await?;
    let commands = orphans.into_iter().map(|(chat, orphan)| (chat, Command::Orphan(orphan)));
    apply_all(ctx, commands).await;
    Ok(())
}

/// Returns chats whose takeover is over to the agent.
async fn resumes(ctx: &Arc<Context>) -> Result<()> {
    let chats = ctx.store.due_resumes(RESUMES_MAX).await?;
    apply_all(ctx, chats.into_iter().map(|chat| (chat, Command::Release(Release::Expired)))).await;
    Ok(())
}

async fn apply_all(ctx: &Arc<Context>, commands: impl Iterator<Item = (ChatId, Command)>) {
    let applied = commands.map(|(chat, command)| async move {
        match ctx.apply(chat, command).await {
            // Work that becomes due here is found in the same tick.
            Ok(applied) => {
                debug_assert!(
                    !applied.effects.iter().any(|effect| matches!(effect, Effect::Ask(_) | Effect::Send(_)))
                );
            }
            Err(ApplyError::Missing | ApplyError::Busy) => {}
            Err(err) => {
                tracing::warn!(%chat, error = %err, "cannot resume a chat; retrying on the next tick");
            }
        }
    });
    futures::future::join_all(applied).await;
}

async fn events(ctx: &Arc<Context>) -> Result<()> {
    for _ in 0..PAGES_MAX {
        let room = ctx.dispatcher.room(QueueName::Ingest).await.min(PAGE_MAX);
        if room == 0 {
            return Ok(());
        }
        let due = ctx.store.due_events(room).await?;
        for (position, event) in due.iter().enumerate() {
            let key = format!("{}:{}", event.key.to_hex(), event.dispatch);
            let work = Work { queue: QueueName::Ingest, id: event.id.0, key, trace: event.trace };
            if !push(ctx, work).await {
                for rest in &due[position..] {
                    ctx.store.undispatch_event(rest.id).await?;
                }
                return Ok(());
            }
        }
        if (due.len() as u64) < room {
            return Ok(());
        }
    }
    Ok(())
}

async fn chats(ctx: &Arc<Context>, queue: QueueName, work: DueWork, attempts: Attempts) -> Result<()> {
    for _ in 0..PAGES_MAX {
        // Limits each queue by its own capacity: a queue full of retries does not hold back first attempts.
        let room = ctx.dispatcher.room(queue).await.min(PAGE_MAX);
        if room == 0 {
            return Ok(());
        }
        let each = ctx.options.worker.sweep_per_connection;
        let due = ctx.store.due_chats(work, attempts, (each, room)).await?;
        if due.is_empty() {
            return Ok(());
        }
        for (position, chat) in due.iter().enumerate() {
            let key = format!("{}:{}", chat.id, chat.dispatch);
            let job = Work { queue, id: chat.id.0, key, trace: chat.trace };
            if !push(ctx, job).await {
                for rest in &due[position..] {
                    ctx.store.reserve_chat(work, rest.id, Duration::ZERO).await?;
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn push(ctx: &Context, work: Work) -> bool {
    let queue = work.queue;
    match ctx.dispatcher.push(work).await {
        Ok(Pushed::Accepted) => {
            ctx.metrics.sweep_claimed.with_label_values(&[queue.job()]).inc();
            true
        }
        Ok(Pushed::Full) => false,
        Err(err) => {
            tracing::warn!(queue = queue.as_str(), error = %err, "due work not pushed; retrying on the next tick");
            false
        }
    }
}
