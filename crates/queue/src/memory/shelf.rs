//! One bounded queue and the keys it remembers.

use super::MemoryOptions;
use crate::{Job, Pushed};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::Notify, time::Instant};

pub(super) struct Shelf {
    options: MemoryOptions,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    keys: HashSet<Arc<str>>,
    /// The same keys, oldest first, with their expiry times.
    expiries: VecDeque<(Instant, Arc<str>)>,
}

impl Shelf {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self { options, state: Mutex::default(), arrived: Notify::new() }
    }

    pub(super) fn push(&self, job: Job) -> Pushed {
        let mut state = self.state();
        let now = Instant::now();
        state.forget(now);
        if state.waiting.len() >= self.options.max_waiting {
            return Pushed::Full;
        }
        let key: Arc<str> = job.key.as_str().into();
        if state.keys.insert(key.clone()) {
            state.expiries.push_back((now + self.options.dedupe_ttl, key));
            state.waiting.push_back(job);
            drop(state);
            self.arrived.notify_one();
        }
        Pushed::Accepted
    }

    /// Waits for the next job. Dropping the future loses none.
    pub(super) async fn take(&self) -> Job {
        loop {
            if let Some(job) = self.next() {
                return job;
            }
            self.arrived.notified().await;
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        let job = state.waiting.pop_front();
        // Several pushes may have left a single permit: pass it on after taking it.
        if !state.waiting.is_empty() {
            self.arrived.notify_one();
        }
        job
    }

    /// A job that was started but not finished goes first in the next run.
    pub(super) fn give_back(&self, job: Job) {
        self.state().waiting.push_front(job);
        self.arrived.notify_one();
    }

    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// No code runs under the lock that could leave the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while let Some((_, key)) = self.expiries.pop_front_if(|(at, _)| *at <= now) {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueName;
    use std::time::Duration;
    use uuid::Uuid;

    fn job(key: &str) -> Job {
        Job { queue: QueueName::Turn, id: Uuid::nil(), key: key.into(), pushed_at_ms: 0, trace: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_remembered_until_it_expires() {
        let shelf = Shelf::new(MemoryOptions { max_waiting: 10, dedupe_ttl: Duration::from_mins(1) });
        for _ in 0..3 {
            assert_eq!(shelf.push(job("a")), Pushed::Accepted);
        }
        assert_eq!(shelf.waiting(), 1);
        shelf.take().await;
        tokio::time::advance(Duration::from_secs(59)).await;
        shelf.push(job("a"));
        assert_eq!(shelf.waiting(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        shelf.push(job("a"));
        assert_eq!(shelf.waiting(), 1);
    }

    #[tokio::test]
    async fn a_rejected_key_is_not_remembered() {
        let shelf = Shelf::new(MemoryOptions { max_waiting: 1, dedupe_ttl: Duration::from_mins(1) });
        assert_eq!(shelf.push(job("a")), Pushed::Accepted);
        assert_eq!(shelf.push(job("b")), Pushed::Full);
        shelf.take().await;
        assert_eq!(shelf.push(job("b")), Pushed::Accepted);
        assert_eq!(shelf.waiting(), 1);
    }
}
