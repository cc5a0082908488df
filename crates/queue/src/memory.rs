//! The in-process queue of the embedded backend, lost when the process ends. SQL keeps what matters, so the
//! poller pushes lost jobs again after a restart.

use crate::{
    Job, JobHandler, JobQueue, Lane, Pushed, QueueError, QueueMetrics, QueueName, Stop,
    crew::{Crew, Outcome, Run},
};
use async_trait::async_trait;
use shelf::Shelf;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

mod shelf;

/// Settings of the in-process queue.
#[derive(Clone, Copy, Debug)]
pub struct MemoryOptions {
    /// Maximum number of jobs waiting in each queue.
    pub max_waiting: usize,
    /// How long a key is remembered.
    pub dedupe_ttl: Duration,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self { max_waiting: 2_000, dedupe_ttl: Duration::from_mins(10) }
    }
}

/// Bounded queues inside one process, which both pushes and runs.
pub struct MemoryQueue {
    shelves: [Arc<Shelf>; QueueName::ALL.len()],
    metrics: QueueMetrics,
}

impl MemoryQueue {
    /// Makes empty queues.
    pub fn new(options: MemoryOptions, metrics: QueueMetrics) -> Self {
        Self { shelves: QueueName::ALL.map(|_| Arc::new(Shelf::new(options))), metrics }
    }

    fn shelf(&self, queue: QueueName) -> &Arc<Shelf> {
        &self.shelves[queue as usize]
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn push(&self, job: Job) -> Result<Pushed, QueueError> {
        let queue = job.queue;
        let result = Ok(self.shelf(queue).push(job));
        self.metrics.pushed(queue, &result);
        result
    }

    async fn depth(&self, queue: QueueName) -> Result<u64, QueueError> {
        Ok(self.shelf(queue).waiting() as u64)
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }

    async fn run(
        &self,
        lanes: Vec<Lane>,
        handler: Arc<dyn JobHandler>,
        stop: Stop,
    ) -> Result<(), QueueError> {
        let run = Run {
            handler,
            metrics: self.metrics.clone(),
            stopping: stop.shutdown.child_token(),
            cut: CancellationToken::new(),
            fetch: stop.fetch.clone(),
        };
        // Dropping the run aborts its jobs.
        let _cut_with_us = run.cut.clone().drop_guard();
        let lanes = futures::future::join_all(lanes.into_iter().map(|lane| {
            let shelf = self.shelf(lane.queue).clone();
            let crew = Crew::new(lane, run.clone());
            async move {
                feed(&shelf, &crew).await;
                crew.idle().await;
            }
        }));
        tokio::select! {
            _ = lanes => {}
            () = run.grace_over(stop.grace) => {}
        }
        Ok(())
    }
}

/// Takes jobs while the lane is running and slots are free.
async fn feed(shelf: &Arc<Shelf>, crew: &Crew) {
    let stopping = &crew.run().stopping;
    loop {
        if stopping.run_until_cancelled(crew.run().clone().may_fetch()).await.is_none() {
            return;
        }
        let Some(Ok(slot)) = stopping.run_until_cancelled(crew.slots().acquire_owned()).await else {
            return;
        };
        let Some(job) = stopping.run_until_cancelled(shelf.take()).await else {
            return;
        };
        let handle = crew.start(job.clone(), slot);
        let shelf = shelf.clone();
        crew.also(async move {
            if let Ok(Outcome::Cut) = handle.await {
                shelf.give_back(job);
            }
        });
    }
}
