//! The conformance suite of queues. The tests crate runs each case on each backend.
//!
//! A case panics if the queue fails it. Cases wait for conditions with a deadline; where a case sleeps, the
//! pause is what is being tested.

#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a panic fails the test"
)]

use crate::{Job, JobQueue, Lane, Pushed, QueueError, QueueName};
use async_trait::async_trait;
use prometheus::Registry;
use std::{sync::Arc, time::Duration};

mod basics;
mod faults;
mod load;
mod probe;
mod stopping;

pub use basics::*;
pub use faults::*;
pub use load::*;
pub use stopping::*;

/// A queue under test. Created anew for every case.
pub trait Backend: Send + Sync {
    /// The queue as one process sees it. Asked twice, a backend with a server behaves like two processes; one
    /// without returns the same queue again.
    ///
    /// With `hasty`, uses the shortest possible heartbeats.
    fn queue(&self, hasty: bool) -> Arc<dyn JobQueue>;

    /// Its metrics registry.
    fn registry(&self) -> &Registry;

    /// The server behind it, if any. Only backends with a server get the cases that need one.
    fn server(&self) -> Option<&dyn Server> {
        None
    }
}

/// The server behind a queue, which can be made to fail.
#[async_trait]
pub trait Server: Send + Sync {
    /// Flushes it.
    async fn flush(&self);
    /// Stops it.
    async fn kill(&self);
    /// Restarts it, empty, at the same address.
    async fn restart(&self);
    /// Inserts entries no worker can process in front of the waiting jobs, in every known form, and returns
    /// their number.
    async fn poison(&self, queue: QueueName) -> u64;
    /// The amount of data left by finished jobs.
    async fn leftovers(&self, queue: QueueName) -> u64;
}

/// The queue used by the cases.
const QUEUE: QueueName = QueueName::Turn;
/// The capacity of a queue.
const MAX_WAITING: u64 = 2_000;
/// Generous: a case that reaches it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

fn lanes(concurrency: usize) -> Vec<Lane> {
    vec![Lane { queue: QUEUE, concurrency }]
}

fn job() -> Job {
    let id = uuid::Uuid::new_v4();
    Job { queue: QUEUE, id, key: format!("{id}:1"), pushed_at_ms: 0, trace: None }
}

/// Pushes a job for which there is room. On a busy machine a push may time out; repeating it pushes the same
/// job.
async fn accepted(queue: &dyn JobQueue, job: Job) {
    until("the job is taken", async || match queue.push(job.clone()).await {
        Ok(pushed) => {
            assert_eq!(pushed, Pushed::Accepted);
            true
        }
        Err(QueueError::Unavailable(_)) => false,
        Err(error) => panic!("the push failed: {error}"),
    })
    .await;
}

/// Retries a push until it is accepted, as the poller does.
async fn offer(queue: &dyn JobQueue, job: &Job) {
    until("the job is taken", async || matches!(queue.push(job.clone()).await, Ok(Pushed::Accepted))).await;
}

/// Waits for a condition.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    assert!(tokio::time::timeout(4 * DEADLINE, met).await.is_ok(), "in vain: {what}");
}

fn server(backend: &dyn Backend) -> &dyn Server {
    backend.server().expect("this case needs a server")
}

/// The sum of a counter over its series of our queue.
fn counter(backend: &dyn Backend, name: &str) -> f64 {
    let families = backend.registry().gather();
    let of_queue = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().any(|label| label.value() == QUEUE.as_str())
    };
    families
        .iter()
        .filter(|family| family.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(of_queue)
        .map(|metric| metric.get_counter().get_value())
        .sum()
}
