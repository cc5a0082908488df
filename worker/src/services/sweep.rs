//! The sweep's beat: whatever is due, not leased and not dispatched lately is pushed.

use crate::Context;
use crate::dispatch::Work;
use dmrelay_queue::{Pushed, QueueName};
use dmrelay_store::{DueChat, Result};
use std::sync::Arc;

/// The most rows of one kind claimed by one statement.
const PAGE: u64 = 500;

/// The most chats given back to the agent by one transaction.
const RESUMED: u64 = 50;

/// The most pages of one beat, so that a long backlog does not keep the lease from being renewed.
const PAGES: usize = 8;

pub(super) async fn beat(ctx: Arc<Context>) -> Result<()> {
    resume(&ctx).await?;
    for _ in 0..PAGES {
        // What was pushed whole may not have been all: of each connection a share is taken at a time.
        let more = [events(&ctx).await?, turns(&ctx).await?, outboxes(&ctx).await?];
        if !more.contains(&true) {
            break;
        }
    }
    Ok(())
}

/// A few at a time, for their chats are locked meanwhile.
async fn resume(ctx: &Context) -> Result<()> {
    for _ in 0..PAGES {
        if ctx.store.resume_chats(RESUMED).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn events(ctx: &Context) -> Result<bool> {
    let room = ctx.dispatcher.room(QueueName::Ingest).await.min(PAGE);
    if room == 0 {
        return Ok(false);
    }
    let due = ctx.store.due_events(room).await?;
    let more = !due.is_empty();
    for (position, event) in due.iter().enumerate() {
        let key = format!("{}:{}", event.key.to_hex(), event.dispatch);
        let work = Work { queue: QueueName::Ingest, id: event.id.0, key, trace: event.trace };
        if !push(ctx, work).await {
            for rest in &due[position..] {
                ctx.store.undispatch_event(rest.id).await?;
            }
            return Ok(false);
        }
    }
    Ok(more)
}

async fn turns(ctx: &Context) -> Result<bool> {
    let room = ctx.dispatcher.room(QueueName::Turn).await.min(PAGE);
    let due = ctx.store.due_turns(ctx.options.worker.sweep_per_connection, room).await?;
    let refused = chats(ctx, &due, (QueueName::Turn, QueueName::TurnRetry)).await;
    for chat in &refused {
        ctx.store.undispatch_turn(chat.id).await?;
    }
    Ok(!due.is_empty() && refused.is_empty())
}

async fn outboxes(ctx: &Context) -> Result<bool> {
    let room = ctx.dispatcher.room(QueueName::Deliver).await.min(PAGE);
    let due = ctx.store.due_outboxes(ctx.options.worker.sweep_per_connection, room).await?;
    let refused = chats(ctx, &due, (QueueName::Deliver, QueueName::DeliverRetry)).await;
    for chat in &refused {
        ctx.store.undispatch_outbox(chat.id).await?;
    }
    Ok(!due.is_empty() && refused.is_empty())
}

/// Pushes each chat to its queue; gives those that were not taken. What has failed before has a queue of
/// its own, so that it does not delay the others.
async fn chats(ctx: &Context, due: &[DueChat], (fresh, retry): (QueueName, QueueName)) -> Vec<DueChat> {
    let mut refused = Vec::new();
    let mut closed: Vec<QueueName> = Vec::new();
    for chat in due {
        let queue = if chat.retry { retry } else { fresh };
        let key = format!("{}:{}", chat.id, chat.dispatch);
        let work = Work { queue, id: chat.id.0, key, trace: chat.trace };
        if closed.contains(&queue) || !push(ctx, work).await {
            closed.push(queue);
            refused.push(chat.clone());
        }
    }
    refused
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
            tracing::warn!(queue = queue.as_str(), error = %err, "due work not pushed, tried again on the next beat");
            false
        }
    }
}
