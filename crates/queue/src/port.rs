//! The port: the queue interface the rest of the project sees.

use crate::{Job, QueueName};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A queue of jobs, and the engine that runs them.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Pushes a job. Fails fast if the queue is unreachable, and never blocks for long. A key pushed before,
    /// within the time keys are remembered, is `Accepted` and does not run again.
    async fn push(&self, job: Job) -> Result<Pushed, QueueError>;

    /// Number of waiting jobs, not counting running ones.
    async fn depth(&self, queue: QueueName) -> Result<u64, QueueError>;

    /// Checks whether the queue responds.
    async fn ping(&self) -> Result<(), QueueError>;

    /// Runs jobs until `stop.shutdown` is cancelled; then takes no more, lets started ones finish within
    /// `stop.grace`, and leaves the others for the next run. Fails only if it gives up.
    ///
    /// Dropping the future ends it at once, including its jobs.
    async fn run(&self, lanes: Vec<Lane>, handler: Arc<dyn JobHandler>, stop: Stop)
    -> Result<(), QueueError>;
}

/// Runs the work of jobs.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// Handles one job. It never fails: the result is a row in SQL. A panic is caught and counted.
    ///
    /// The future is dropped when the grace period of a stop is over.
    async fn handle(&self, job: Job);
}

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Waiting, or already run.
    Accepted,
    /// The queue is full; the caller leaves the work due in SQL.
    Full,
}

/// A queue to take jobs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub queue: QueueName,
    /// Its maximum number of concurrent jobs; 0 counts as 1.
    pub concurrency: usize,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Cancelled to stop the run.
    pub shutdown: CancellationToken,
    /// Grace period of started jobs.
    pub grace: Duration,
    /// Whether jobs may be taken now; otherwise other processes take them. `None` means always.
    pub fetch: Option<watch::Receiver<bool>>,
}

/// Errors of a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The URL is invalid; only when connecting. The URL itself is not shown: it may contain a password.
    #[error("the URL of the queue is invalid: {0}")]
    Address(String),
    /// The queue is unreachable, or did not respond in time.
    #[error("queue unavailable: {0}")]
    Unavailable(String),
    /// The queue responded with an error.
    #[error("the queue returned an error: {0}")]
    Refused(String),
    /// The job cannot be serialized.
    #[error("cannot serialize the job: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// A lane did not recover within the time allowed.
    #[error("gave up on {queue} after {seconds} s without a working worker")]
    GaveUp {
        /// The lane's queue.
        queue: &'static str,
        /// How long it has been failing.
        seconds: u64,
    },
    /// A lane ended because of a bug.
    #[error("a lane ended unexpectedly: {0}")]
    Broken(String),
}
