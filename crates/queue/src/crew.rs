//! Runs the handlers of one lane: a limited number at a time, each in its own task, with panics caught.

use crate::{Job, JobHandler, Lane, QueueMetrics, QueueName};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

/// How long after its grace period a run may take to hand back its jobs.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The handler returned, or panicked.
    Done,
    /// The grace period ended first.
    Cut,
}

/// The shared state of a run's lanes.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) handler: Arc<dyn JobHandler>,
    pub(crate) metrics: QueueMetrics,
    /// Cancelled when no more jobs may be taken.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when started jobs must stop.
    pub(crate) cut: CancellationToken,
    /// Whether jobs may be taken now.
    pub(crate) fetch: Option<watch::Receiver<bool>>,
}

/// The running jobs of one lane. They belong to the lane and not to whatever fetches for it, so that a lost
/// connection to Redis does not abort calls in progress.
#[derive(Clone)]
pub(crate) struct Crew {
    queue: QueueName,
    run: Run,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Run {
    /// Waits until jobs may be taken.
    pub(crate) async fn may_fetch(self) {
        if let Some(mut fetch) = self.fetch {
            // If the sender is gone, the run is about to end.
            let _ = fetch.wait_for(|open| *open).await;
        }
    }

    /// Whether jobs may be taken now.
    pub(crate) fn fetches(&self) -> bool {
        self.fetch.as_ref().is_none_or(|fetch| *fetch.borrow())
    }

    /// Waits for a stop, then for its grace period, then aborts what still runs. Ends when even that should
    /// long have taken effect.
    pub(crate) async fn grace_over(&self, grace: Duration) {
        self.stopping.cancelled().await;
        tokio::time::sleep(grace).await;
        warn!("grace period over: aborting running jobs");
        self.cut.cancel();
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    }
}

impl Crew {
    pub(crate) fn new(lane: Lane, run: Run) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        Self {
            queue: lane.queue,
            run,
            slots: Arc::new(Semaphore::new(lane.concurrency.clamp(1, Semaphore::MAX_PERMITS))),
            tasks,
        }
    }

    pub(crate) fn queue(&self) -> QueueName {
        self.queue
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// One permit is one running job.
    pub(crate) fn slots(&self) -> Arc<Semaphore> {
        self.slots.clone()
    }

    /// Starts a job; `held` (above all its slot) is dropped when it ends. Dropping the handle does not stop
    /// the job.
    pub(crate) fn start<H: Send + 'static>(&self, job: Job, held: H) -> JoinHandle<Outcome> {
        let Run { handler, metrics, cut, .. } = self.run.clone();
        self.tasks.spawn(async move {
            let _held = held;
            let (queue, id) = (job.queue, job.id);
            let work = AssertUnwindSafe(handler.handle(job)).catch_unwind();
            match cut.run_until_cancelled(work).await {
                None => Outcome::Cut,
                Some(Ok(())) => Outcome::Done,
                Some(Err(_)) => {
                    // The panic's text may contain message text: it must not be logged.
                    metrics.panicked(queue);
                    error!(queue = queue.as_str(), %id, "the handler of a job panicked");
                    Outcome::Done
                }
            }
        })
    }

    /// Runs `after` before the lane counts as idle.
    pub(crate) fn also<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    /// Waits until nothing runs.
    pub(crate) async fn idle(&self) {
        self.tasks.wait().await;
    }
}
