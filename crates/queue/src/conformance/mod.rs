//! What every queue must do, whatever it is made of. The tests crate runs each case on each footing.
//!
//! A case panics when the queue fails it. Cases wait for conditions, with a deadline; where one sleeps, the
//! pause is what is being tested.

#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a panic is the verdict"
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

/// A queue under test. Made anew for every case.
pub trait Footing: Send + Sync {
    /// The queue as one process has it. Asked twice, a footing with a server answers as two processes
    /// would; one without gives the same queue again.
    ///
    /// With `hasty`, the shortest heartbeats that can be set.
    fn queue(&self, hasty: bool) -> Arc<dyn JobQueue>;

    /// Where its numbers are.
    fn registry(&self) -> &Registry;

    /// The server behind it, if there is one. Only footings with one are given the cases that need it.
    fn server(&self) -> Option<&dyn Server> {
        None
    }
}

/// The server behind a queue, which fails on request.
#[async_trait]
pub trait Server: Send + Sync {
    /// Empties it.
    async fn flush(&self);
    /// Ends it.
    async fn kill(&self);
    /// Starts it again, empty, at the same address.
    async fn restart(&self);
    /// Puts things no worker can digest in front of what waits, in every way known, and says how many.
    async fn poison(&self, queue: QueueName) -> u64;
    /// How much is kept of jobs that have finished.
    async fn leftovers(&self, queue: QueueName) -> u64;
}

/// The queue the cases use.
const QUEUE: QueueName = QueueName::Turn;
/// How many may wait.
const MAX_WAITING: u64 = 2_000;
/// Generous: a case that needs it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

fn lanes(concurrency: usize) -> Vec<Lane> {
    vec![Lane { queue: QUEUE, concurrency }]
}

fn job() -> Job {
    let id = uuid::Uuid::new_v4();
    Job { queue: QUEUE, id, key: format!("{id}:1"), pushed_at_ms: 0, trace: None }
}

/// Pushes a job for which there is room. On a busy machine a push may take too long: then it is repeated, which
/// is the same job.
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

/// Offers a job until it is taken, as the sweeper does.
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

fn server(footing: &dyn Footing) -> &dyn Server {
    footing.server().expect("this case needs a server")
}

/// The sum of a counter over its series of our queue.
fn counter(footing: &dyn Footing, name: &str) -> f64 {
    let families = footing.registry().gather();
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
