//! Pushes jobs to the shared queue, or only to this process while the shared queue is down.

use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_domain::trace::TraceId;
use dmrelay_queue::{Job, JobQueue, Pushed, QueueError, QueueName};
use std::sync::Arc;
use uuid::Uuid;

/// Capacity of a queue; a queue configured smaller reports so itself.
const WAITING_MAX: u64 = 2_000;

/// Pushes jobs; cheap to clone.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    shared: Arc<dyn JobQueue>,
    local: Option<Arc<dyn JobQueue>>,
}

impl Dispatcher {
    /// Pushes to `shared`; if that fails, urgent jobs go to `local`, which this process runs itself.
    pub(crate) fn new(shared: Arc<dyn JobQueue>, local: Option<Arc<dyn JobQueue>>) -> Self {
        Self { shared, local }
    }

    /// Pushes work right after the commit that made it due. Returns whether the job was accepted; if not, the
    /// poller finds the row.
    pub(crate) async fn wake(&self, work: Work) -> bool {
        let queue = work.queue;
        match self.push(work).await {
            Ok(pushed) => pushed == Pushed::Accepted,
            Err(err) => {
                tracing::debug!(queue = queue.as_str(), error = %err, "job not pushed; the poller will pick up the row");
                false
            }
        }
    }

    /// Pushes a job; while the shared queue is down, to this process only.
    pub(crate) async fn push(&self, work: Work) -> Result<Pushed, QueueError> {
        let job = work.into_job();
        match (self.shared.push(job.clone()).await, &self.local) {
            (Err(_), Some(local)) => local.push(job).await,
            (outcome, _) => outcome,
        }
    }

    /// Free capacity of a queue. Claiming more rows than this would only mean releasing them again.
    pub(crate) async fn room(&self, queue: QueueName) -> u64 {
        let waiting = match (self.shared.depth(queue).await, &self.local) {
            (Err(_), Some(local)) => local.depth(queue).await,
            (depth, _) => depth,
        };
        WAITING_MAX.saturating_sub(waiting.unwrap_or(0))
    }

    /// Number of waiting jobs.
    pub(crate) async fn depth(&self, queue: QueueName) -> Result<u64, QueueError> {
        self.shared.depth(queue).await
    }
}

/// Work to push a job for.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) queue: QueueName,
    /// The row concerned.
    pub(crate) id: Uuid,
    /// Deduplication key of pushes.
    pub(crate) key: String,
    pub(crate) trace: Option<TraceId>,
}

impl Work {
    fn into_job(self) -> Job {
        let trace = self.trace.map(|trace| trace.to_string());
        Job { queue: self.queue, id: self.id, key: self.key, pushed_at_ms: SystemClock.now(), trace }
    }
}
