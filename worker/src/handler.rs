//! One job: what it did is logged in one line and counted; what it brought is in the database.

use crate::{Context, deliver, ingest, turn};
use async_trait::async_trait;
use dmrelay_domain::failure::FailureClass;
use dmrelay_queue::{Job, JobHandler};
use dmrelay_runtime::metrics::{IntGauge, seconds};
use dmrelay_runtime::span_of;
use dmrelay_runtime::trace::TraceId;
use dmrelay_store::Error;
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// Runs jobs.
pub(crate) struct Handler {
    pub(crate) ctx: Arc<Context>,
}

/// What a job did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its work.
    Done,
    /// Nothing: the work was done before, is another's, or is not due.
    Idle,
    /// It failed, and goes on later.
    Retry(FailureClass),
    /// It failed for good, and there is a dead letter.
    Dead(FailureClass),
}

impl Outcome {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done", "none"),
            Self::Idle => ("idle", "none"),
            Self::Retry(class) => ("retry", class.as_str()),
            Self::Dead(class) => ("failed", class.as_str()),
        }
    }
}

#[async_trait]
impl JobHandler for Handler {
    async fn handle(&self, job: Job) {
        let name = job.queue.job();
        let trace = job.trace.as_deref().and_then(TraceId::parse);
        self.run(name, job).instrument(span_of!(trace, "job", job = name)).await;
    }
}

/// Counts a job as under way, until dropped: however it ends.
struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Handler {
    async fn run(&self, name: &'static str, job: Job) {
        let started = Instant::now();
        let metrics = &self.ctx.metrics;
        let waited = self.ctx.clock.now().saturating_sub(job.pushed_at_ms);
        metrics.job_pickup_seconds.with_label_values(&[name]).observe(seconds(waited));
        let running = metrics.jobs_running.with_label_values(&[name]);
        running.inc();
        let _running = Running(running);
        let outcome = match name {
            "ingest" => ingest::run(&self.ctx, job.id.into()).await,
            "turn" => turn::run(&self.ctx, job.id.into()).await,
            _ => deliver::run(&self.ctx, job.id.into()).await,
        };
        self.report(name, &job, outcome, started);
    }

    fn report(&self, name: &str, job: &Job, outcome: Result<Outcome, Error>, started: Instant) {
        let metrics = &self.ctx.metrics;
        let took = started.elapsed();
        metrics.job_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(outcome) => {
                let (label, class) = outcome.labels();
                metrics.jobs.with_label_values(&[name, label, class]).inc();
                tracing::debug!(id = %job.id, outcome = label, class, took_ms, "job");
            }
            Err(err) => {
                // Nothing is lost: the row is as it was, and the sweep dispatches it again.
                metrics.jobs.with_label_values(&[name, "retry", "transient"]).inc();
                tracing::warn!(id = %job.id, error = %err, took_ms, "job put off");
            }
        }
    }
}
