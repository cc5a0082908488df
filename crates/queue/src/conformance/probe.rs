//! A handler that records its jobs, and a run that can be ended in every way.

use super::{DEADLINE, until};
use crate::{Job, JobHandler, JobQueue, Lane, QueueError, Stop};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Counts its jobs, and can hold them back.
pub(super) struct Probe {
    runs: Mutex<HashMap<Uuid, usize>>,
    panics_on: HashSet<Uuid>,
    /// Each permit lets one job end.
    gate: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicUsize,
}

impl Probe {
    /// Jobs end immediately.
    pub(super) fn open() -> Arc<Self> {
        Self::new(Semaphore::MAX_PERMITS, HashSet::new())
    }

    /// Jobs end when [`Probe::let_end`] lets them.
    pub(super) fn shut() -> Arc<Self> {
        Self::new(0, HashSet::new())
    }

    pub(super) fn panicking_on(ids: HashSet<Uuid>) -> Arc<Self> {
        Self::new(Semaphore::MAX_PERMITS, ids)
    }

    fn new(permits: usize, panics_on: HashSet<Uuid>) -> Arc<Self> {
        Arc::new(Self {
            runs: Mutex::default(),
            panics_on,
            gate: Semaphore::new(permits),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    pub(super) fn let_end(&self, jobs: usize) {
        self.gate.add_permits(jobs);
    }

    /// How often a job was started.
    pub(super) fn runs_of(&self, job: &Job) -> usize {
        self.runs.lock().expect("no panic under the lock").get(&job.id).copied().unwrap_or(0)
    }

    /// Number of distinct jobs started.
    pub(super) fn seen(&self) -> usize {
        self.runs.lock().expect("no panic under the lock").len()
    }

    /// Number of starts.
    pub(super) fn starts(&self) -> usize {
        self.runs.lock().expect("no panic under the lock").values().sum()
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Maximum number of concurrent jobs.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl JobHandler for Probe {
    async fn handle(&self, job: Job) {
        let _running = Running::new(self);
        *self.runs.lock().expect("no panic under the lock").entry(job.id).or_default() += 1;
        assert!(!self.panics_on.contains(&job.id), "as told");
        self.gate.acquire().await.expect("never closed").forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

/// Decrements even if the handler panics or is dropped.
struct Running<'a>(&'a Probe);

impl<'a> Running<'a> {
    fn new(probe: &'a Probe) -> Self {
        let now = probe.running.fetch_add(1, Ordering::SeqCst) + 1;
        probe.most.fetch_max(now, Ordering::SeqCst);
        Self(probe)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A run in the background.
pub(super) struct Runner {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), QueueError>>,
}

impl Runner {
    pub(super) fn start(queue: &Arc<dyn JobQueue>, lanes: Vec<Lane>, probe: &Arc<Probe>) -> Self {
        Self::with_grace(queue, lanes, probe, DEADLINE)
    }

    pub(super) fn with_grace(
        queue: &Arc<dyn JobQueue>,
        lanes: Vec<Lane>,
        probe: &Arc<Probe>,
        grace: Duration,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let stop = Stop { shutdown: shutdown.clone(), grace, fetch: None };
        let (queue, probe) = (queue.clone(), probe.clone());
        let task = tokio::spawn(async move { queue.run(lanes, probe, stop).await });
        Self { shutdown, task }
    }

    /// Requests a stop without waiting.
    pub(super) fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Requests a stop and waits for the end.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        until("the run ends", async || self.task.is_finished()).await;
        self.task.await.expect("the run does not panic").expect("the run does not give up");
    }

    /// Aborts it, as a kill would.
    pub(super) async fn abort(self) {
        self.task.abort();
        until("the run is gone", async || self.task.is_finished()).await;
    }
}
