//! Runs one job: the job names a row to look at; the result is in the database.

use crate::Context;
use crate::follow::{self, About};
use async_trait::async_trait;
use dmrelay_domain::conversation::Reply;
use dmrelay_domain::ids::ChatId;
use dmrelay_queue::{Job, JobHandler, QueueName};
use dmrelay_runtime::metrics::seconds;
use dmrelay_runtime::span_of;
use dmrelay_runtime::trace::TraceId;
use dmrelay_store::{ApplyError, DueWork};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Runs jobs.
pub(crate) struct Handler {
    pub(crate) ctx: Arc<Context>,
}

/// Delay of a chat for which there is no slot.
const NO_SLOT_DELAY: Duration = Duration::from_millis(250);

#[async_trait]
impl JobHandler for Handler {
    async fn handle(&self, job: Job) {
        let name = job.queue.job();
        let trace = job.trace.as_deref().and_then(TraceId::parse);
        self.run(name, job).instrument(span_of!(trace, "job", job = name)).await;
    }
}

impl Handler {
    async fn run(&self, name: &'static str, job: Job) {
        let (ctx, began) = (&self.ctx, Instant::now());
        let waited = ctx.clock.now().saturating_sub(job.pushed_at_ms);
        ctx.metrics.job_pickup_seconds.with_label_values(&[name]).observe(seconds(waited));
        let work = match job.queue {
            QueueName::Ingest => {
                ctx.inbox.wake(job.id.into(), waited);
                return;
            }
            QueueName::Turn | QueueName::TurnRetry => DueWork::Turns,
            QueueName::Deliver | QueueName::DeliverRetry => DueWork::Outboxes,
        };
        let outcome = chat(ctx, work, job.id.into()).await;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(reply) => {
                // Work begun here is counted when it ends.
                if reply != Reply::Done {
                    ctx.count_job(name, &reply, began);
                }
                tracing::debug!(id = %job.id, ?reply, took_ms, "job done");
            }
            Err(err) => {
                // Nothing is lost: the row is unchanged, and the poller dispatches it again.
                ctx.metrics.jobs.with_label_values(&[name, "retry", "transient"]).inc();
                tracing::warn!(id = %job.id, error = %err, took_ms, "job failed; the poller will pick up its row");
            }
        }
    }
}

/// Continues the turn or the outbox of a chat, if it is due.
async fn chat(ctx: &Arc<Context>, work: DueWork, id: ChatId) -> Result<Reply, ApplyError> {
    let unavailable = |err: dmrelay_store::Error| ApplyError::Unavailable(err.to_string());
    let Some(row) = ctx.store.chat(id).await.map_err(unavailable)? else { return Ok(Reply::Idle) };
    let connection = ctx.accounts.by_id(row.connection_id).await.map_err(unavailable)?;
    let Some(connection) = connection else { return Ok(Reply::Idle) };
    let Ok(user) = dmrelay_domain::ids::InstagramUserId::parse(&row.instagram_user_id) else {
        return Ok(Reply::Idle);
    };
    let about = About {
        chat: id,
        user,
        connection: connection.id,
        route: ctx.route(&connection),
        began: Instant::now(),
    };
    match work {
        DueWork::Turns => match ctx.slots.ask(&about.route) {
            Some(slot) => follow::start_turn(ctx, &about, slot).await,
            None => no_slot(ctx, work, id).await,
        },
        DueWork::Outboxes => match ctx.slots.send(&about.route) {
            Some(slot) => follow::claim_send(ctx, &about, slot).await,
            None => no_slot(ctx, work, id).await,
        },
    }
}

async fn no_slot(ctx: &Arc<Context>, work: DueWork, chat: ChatId) -> Result<Reply, ApplyError> {
    follow::reserve(ctx, work, chat, NO_SLOT_DELAY).await;
    Ok(Reply::Idle)
}
