//! `ingest`: the events of a conversation, in Meta's order, each applied in one short transaction.

mod apply;
mod echo;
mod marks;

use crate::Context;
use crate::dispatch::Work;
use crate::handler::Outcome;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::EventId;
use dmrelay_domain::retry;
use dmrelay_domain::states::EventState;
use dmrelay_domain::trace::TraceId;
use dmrelay_queue::QueueName;
use dmrelay_runtime::span_of;
use dmrelay_store::{Claim, ClaimedEvent, DeadLetter, Error, LockedChat, Subject, again_on_contention};
use std::sync::Arc;
use tracing::Instrument;

/// The most events one job applies; what is left is dispatched again.
const MOST: usize = 200;

/// What became of an event.
pub(crate) enum Applied {
    /// Its effect is committed; the chat it touched, as it was written.
    Done(Option<Box<LockedChat>>),
    /// Another worker was faster.
    Overtaken,
}

/// Applies what waits in the event's conversation.
pub(crate) async fn run(ctx: &Arc<Context>, id: EventId) -> Result<Outcome, Error> {
    let Some((account, thread)) = ctx.store.event_conversation(id).await? else {
        return Ok(Outcome::Idle);
    };
    let mut outcome = Outcome::Idle;
    for _ in 0..MOST {
        let Claim::Event(event) = ctx.store.claim_event(&account, &thread, ctx.options.worker.lease).await?
        else {
            return Ok(outcome);
        };
        let span = span_of!(event.trace, "ingest", event = %event.id);
        outcome = one(ctx, &event).instrument(span).await?;
        if matches!(outcome, Outcome::Retry(_)) {
            return Ok(outcome);
        }
    }
    Ok(outcome)
}

async fn one(ctx: &Arc<Context>, event: &ClaimedEvent) -> Result<Outcome, Error> {
    if event.attempt > ctx.options.worker.ingest_attempts {
        bury(ctx, event).await?;
        return Ok(Outcome::Dead(FailureClass::Bug));
    }
    match again_on_contention!(apply::apply(ctx, event).await) {
        Ok(Applied::Done(chat)) => {
            if let Some(chat) = chat {
                wake(ctx, &chat).await;
            }
            Ok(Outcome::Done)
        }
        Ok(Applied::Overtaken) => Ok(Outcome::Idle),
        Err(err) => {
            let delay = retry::INGEST.delay(event.attempt);
            tracing::warn!(event = %event.id, attempt = event.attempt, error = %err, "event put off");
            ctx.store.postpone_event(event, delay, &err).await?;
            Ok(Outcome::Retry(FailureClass::Transient))
        }
    }
}

/// Pushes what the commit made due at once.
pub(crate) async fn wake(ctx: &Context, chat: &LockedChat) {
    let key = format!("{}:{}", chat.id(), chat.row.dispatch_no + 1);
    let trace = TraceId::of(chat.row.trace_id);
    let due = [(chat.turn_pushed, QueueName::Turn), (chat.outbox_pushed, QueueName::Deliver)];
    for (_, queue) in due.into_iter().filter(|(pushed, _)| *pushed) {
        ctx.dispatcher.wake(Work { queue, id: chat.row.id, key: key.clone(), trace }).await;
    }
}

async fn bury(ctx: &Context, event: &ClaimedEvent) -> Result<(), Error> {
    let tx = ctx.store.begin().await?;
    let connection = tx.route(&event.account).await?;
    let error = format!("not applied in {} attempts", event.attempt - 1);
    if !tx.finish_event(event.id, EventState::Dead, Some(&error)).await? {
        return Ok(());
    }
    let letter = DeadLetter {
        subaccount: connection
            .as_ref()
            .map_or_else(String::new, |connection| connection.subaccount.to_string()),
        connection: connection.as_ref().map(|connection| connection.id),
        chat: None,
        subject: Subject::Event(event.id.0),
        class: FailureClass::Bug,
        error,
        attempts: i32::try_from(event.attempt).unwrap_or(i32::MAX) - 1,
    };
    tx.bury(&letter, event.now).await?;
    tx.commit().await?;
    ctx.metrics.ingested.with_label_values(&[EventState::Dead.as_str()]).inc();
    Ok(())
}
