//! The port: what the rest of the project sees of a queue.

use crate::{Job, QueueName};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A queue of jobs, and the engine that runs them.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Hands a job over. Fails fast when the queue cannot be reached, and never blocks for long. A key
    /// that was pushed before, within the time keys are remembered, is `Accepted` and does not run again.
    async fn push(&self, job: Job) -> Result<Pushed, QueueError>;

    /// How many jobs wait in a queue. Those that run are not counted.
    async fn depth(&self, queue: QueueName) -> Result<u64, QueueError>;

    /// Is the queue there?
    async fn ping(&self) -> Result<(), QueueError>;

    /// Runs jobs until `stop.shutdown` is cancelled; then takes no more, lets the started ones end within
    /// `stop.grace`, and leaves the others for the next run. Fails only when it gives up.
    ///
    /// Dropping the future ends it at once, with what it runs.
    async fn run(&self, lanes: Vec<Lane>, handler: Arc<dyn JobHandler>, stop: Stop)
    -> Result<(), QueueError>;
}

/// Does the work of jobs.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// Handles one job. It never fails: what came of it is a row in SQL. A panic is caught and counted.
    ///
    /// The future is dropped where it stands when the grace of a stop is over.
    async fn handle(&self, job: Job);
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits, or has run already.
    Accepted,
    /// As many wait as may wait; the caller leaves the job due in SQL.
    Full,
}

/// A queue to take jobs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Which.
    pub queue: QueueName,
    /// How many of its jobs run at the same time; 0 counts as 1.
    pub concurrency: usize,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cancelled when the run shall end.
    pub shutdown: CancellationToken,
    /// How long started jobs may still take then.
    pub grace: Duration,
    /// Whether jobs may be taken now; while they may not, others take them. None if always.
    pub fetch: Option<watch::Receiver<bool>>,
}

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The address cannot be read; only when connecting. The address itself is not shown: it may hold a
    /// password.
    #[error("the address of the queue cannot be read: {0}")]
    Address(String),
    /// The queue cannot be reached, or did not answer in time.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
    /// The queue answered, with an error.
    #[error("the queue refused: {0}")]
    Refused(String),
    /// The job cannot be written as JSON.
    #[error("the job cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// A lane did not come up again for as long as it may take.
    #[error("gave up on {queue} after {seconds} s without a working worker")]
    GaveUp {
        /// The lane's queue.
        queue: &'static str,
        /// How long it has been failing.
        seconds: u64,
    },
    /// A lane ended for a reason that is a bug of ours.
    #[error("a lane ended unexpectedly: {0}")]
    Broken(String),
}
