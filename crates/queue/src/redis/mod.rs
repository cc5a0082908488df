//! The production queue: apalis-redis, with guards for its pitfalls.
//!
//! Everything here is written for apalis-redis 1.0.0, including its key layout; the version is pinned. Each
//! guard documents the behaviour of that version it exists for.
//!
//! - `push`: pushes a job, through the admission guard.
//! - `worker`: one run of a lane's apalis worker, with `poll` as its clock and `payload` as its codec.
//! - `retire`: returns the jobs of an ended worker to the queue, or removes them.
//! - `cleanup`: removes finished jobs.

use crate::{
    Job, JobHandler, JobQueue, Lane, Pushed, QueueError, QueueMetrics, QueueName, Stop,
    crew::{Crew, Run},
    supervisor::Supervised,
};
use ::redis::{AsyncCommands, aio::ConnectionManager};
use apalis_redis::Config;
use async_trait::async_trait;
use link::Link;
use push::Pusher;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod admission;
mod cleanup;
mod link;
mod options;
mod payload;
mod poll;
mod push;
mod retire;
mod server;
mod station;
mod worker;

pub use options::RedisOptions;
pub use server::RedisServer;

/// A queue in Redis, shared by any number of processes.
pub struct RedisQueue {
    shared: Arc<Shared>,
    /// For pushes and queries. Every worker has its own connection.
    conn: ConnectionManager,
    pusher: Pusher,
}

/// The shared state of all parts.
struct Shared {
    options: RedisOptions,
    link: Link,
    metrics: QueueMetrics,
}

impl Shared {
    /// apalis' configuration of one of our queues, including its keys.
    fn config(&self, queue: QueueName) -> Config {
        self.options.config(queue)
    }
}

impl RedisQueue {
    /// Parses the URL; Redis need not be up, and may come and go: the connection is opened when needed. Must
    /// be called inside a Tokio runtime.
    pub fn connect(options: RedisOptions, metrics: QueueMetrics) -> Result<Self, QueueError> {
        let link = Link::new(&options)?;
        let conn = link.lazy(options.push_timeout)?;
        let shared = Arc::new(Shared { options, link, metrics });
        Ok(Self { pusher: Pusher::new(shared.clone(), conn.clone()), shared, conn })
    }

    /// Runs one query to Redis, with the push timeout.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
        within(self.shared.options.push_timeout, question).await
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(QueueError::Unavailable(format!("no response in {limit:?}"))))
}

#[async_trait]
impl JobQueue for RedisQueue {
    async fn push(&self, job: Job) -> Result<Pushed, QueueError> {
        let queue = job.queue;
        let result = self.pusher.push(&job).await;
        self.shared.metrics.pushed(queue, &result);
        result
    }

    async fn depth(&self, queue: QueueName) -> Result<u64, QueueError> {
        let config = self.shared.config(queue);
        self.ask(admission::waiting(&mut self.conn.clone(), &config)).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        let mut conn = self.conn.clone();
        let pinged =
            self.ask(async move { conn.ping::<()>().await.map_err(|error| link::classified(&error)) }).await;
        pinged.map_err(|err| match err {
            QueueError::Unavailable(cause) => {
                QueueError::Unavailable(format!("{}: {cause}", self.shared.link.address()))
            }
            other => other,
        })
    }

    async fn run(
        &self,
        lanes: Vec<Lane>,
        handler: Arc<dyn JobHandler>,
        stop: Stop,
    ) -> Result<(), QueueError> {
        let run = Run {
            handler,
            metrics: self.shared.metrics.clone(),
            stopping: stop.shutdown.child_token(),
            cut: CancellationToken::new(),
            fetch: stop.fetch.clone(),
        };
        // Dropping the run aborts everything: the lanes with their set, the jobs with this.
        let _cut_with_us = run.cut.clone().drop_guard();
        let mut tasks = JoinSet::new();
        let mut cleaners = JoinSet::new();
        cleaners.spawn(cleanup::keep_clean(self.shared.clone(), lanes.clone()));
        for lane in lanes {
            let crew = Crew::new(lane, run.clone());
            tasks.spawn(keep_lane(self.shared.clone(), crew));
        }
        let mut result = Ok(());
        tokio::select! {
            () = all_ended(&mut tasks, &run.stopping, &mut result) => {}
            () = run.grace_over(stop.grace) => {}
        }
        result
    }
}

/// Waits for all lanes. One that gives up stops the others; its error is the result, however they end.
async fn all_ended(
    tasks: &mut JoinSet<Result<(), QueueError>>,
    stopping: &CancellationToken,
    result: &mut Result<(), QueueError>,
) {
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(QueueError::Broken(error.to_string())));
        if ended.is_err() && result.is_ok() {
            *result = ended;
            stopping.cancel();
        }
    }
}

/// One lane from start to stop.
///
/// apalis-redis 1.0.0 ends a worker on any error from Redis, a script or decoding, and its `Monitor` may
/// still return `Ok`; so we supervise it ourselves.
async fn keep_lane(shared: Arc<Shared>, crew: Crew) -> Result<(), QueueError> {
    let stopping = crew.run().stopping.clone();
    let bench = worker::Bench::new(shared.clone(), crew.clone());
    let supervised = Supervised {
        queue: crew.queue(),
        policy: shared.options.policy(),
        metrics: &shared.metrics,
        stopping: &stopping,
    };
    let result = supervised.keep(|| bench.one_life()).await;
    if result.is_err() {
        // Now, not when the last job has ended: the other lanes' grace period starts here.
        stopping.cancel();
    }
    // Jobs whose worker died are still running here.
    crew.idle().await;
    result
}
