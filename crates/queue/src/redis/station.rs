//! The service an apalis worker calls: turns a fetched job into a running one.

use super::payload::Payload;
use crate::{
    crew::{Crew, Outcome},
    metrics::Drop as Dropped,
};
use apalis::prelude::{BoxDynError, Task};
use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;
use tower::Service;
use tracing::warn;

/// Starts jobs, at most one per slot of the lane.
///
/// The slots and the jobs belong to the lane: when the worker dies (in apalis-redis 1.0.0 one Redis error is
/// enough) its futures are dropped, but the jobs continue and keep their slots.
///
/// A handled job is always `Ok` to apalis, whatever its result: apalis' retries are linear and stop at a
/// fixed 25. Only a job aborted by a stop is retried through them.
pub(super) struct Station {
    crew: Crew,
    running: Running,
    slots: PollSemaphore,
    slot: Option<OwnedSemaphorePermit>,
    /// Waits until jobs may be taken again.
    closed: Option<BoxFuture<'static, ()>>,
}

impl Station {
    pub(super) fn new(crew: Crew, running: Running) -> Self {
        Self { slots: PollSemaphore::new(crew.slots()), crew, running, slot: None, closed: None }
    }
}

/// The grace period of a stop ended before the job. The only error apalis sees: it requeues the job, to be
/// run in a second by any process.
#[derive(Debug, thiserror::Error)]
#[error("the job was aborted by a stop")]
struct CutOff;

impl Service<Task<Payload>> for Station {
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    /// Ready when a slot is free; only then does apalis fetch.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        if self.closed.is_none() && !self.crew.run().fetches() {
            self.closed = Some(self.crew.run().clone().may_fetch().boxed());
        }
        if let Some(closed) = &mut self.closed {
            std::task::ready!(closed.as_mut().poll(cx));
            self.closed = None;
        }
        if self.slot.is_none() {
            self.slot = std::task::ready!(self.slots.poll_acquire(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Payload>) -> Self::Future {
        let queue = self.crew.queue();
        self.running.taken.fetch_add(1, Ordering::Relaxed);
        let slot = self.slot.take();
        let id = task.ctx().task_id().map_or_else(String::new, ToString::to_string);
        let Some(job) = task.args.decode(queue) else {
            warn!(queue = queue.as_str(), id, "a payload that is not a job was dropped");
            self.crew.run().metrics.dropped(queue, Dropped::Undecodable, 1);
            return ready(Ok(())).boxed();
        };
        let handle = self.crew.start(job, (slot, self.running.enter(id)));
        async move {
            match handle.await {
                Ok(Outcome::Done) => Ok(()),
                Ok(Outcome::Cut) | Err(_) => Err(CutOff.into()),
            }
        }
        .boxed()
    }
}

/// The jobs of a lane being handled, by their apalis ids.
#[derive(Clone, Default)]
pub(super) struct Running {
    ids: Arc<Mutex<HashSet<String>>>,
    taken: Arc<AtomicU64>,
}

impl Running {
    fn enter(&self, id: String) -> Entry {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        Entry { running: self.clone(), id }
    }

    /// Number of jobs ever fetched.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().cloned().collect()
    }
}

/// Removes the job from the list when it has ended.
struct Entry {
    running: Running,
    id: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
