//! How many jobs wait, and whether one more may.

use super::link::classified;
use crate::QueueError;
use ::redis::aio::ConnectionLike;
use apalis_redis::Config;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// More may not wait, whatever is set: see [`Admission`].
pub(super) const WAITING_MAX: u64 = 2_000;
/// A depth that was read is good for so long …
const COUNT_CACHE_TTL: Duration = Duration::from_millis(50);
/// … and for so many pushes of ours.
const COUNT_CACHE_PUSHES: u64 = 200;

/// How many jobs wait: those that may be fetched, and those apalis has yet to move among them.
///
/// The counts that apalis-redis 1.0.0 offers itself cannot be used: it applies ZCARD to lists and sets
/// (WRONGTYPE), and its listing of queues is always empty.
pub(super) async fn waiting(conn: &mut impl ConnectionLike, config: &Config) -> Result<u64, QueueError> {
    let (active, scheduled): (u64, u64) = ::redis::pipe()
        .llen(config.active_jobs_list())
        .zcard(config.scheduled_jobs_set())
        .query_async(conn)
        .await
        .map_err(|error| classified(&error))?;
    Ok(active + scheduled)
}

/// The guard before a queue.
///
/// apalis-redis 1.0.0 passes every job through a sorted set and moves all that is in it with one
/// `unpack`, which Lua bounds: with some 8,000 jobs there between two fetches, every later fetch fails and
/// the queue stands still for ever. So no more than 2,000 may wait; the rest stays due in SQL.
///
/// The depth is read every 50 ms, or every 200 pushes of this process, whichever comes first; in between
/// our own pushes are counted on top. Several processes can therefore exceed the limit together, by at most
/// 200 and what each has under way: some twenty of them stay below 8,000.
pub(super) struct Admission {
    limit: u64,
    known: Mutex<Known>,
    /// One asks; the others wait for the answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    read_at: Option<Instant>,
    depth: u64,
    pushed_since: u64,
    under_way: u64,
}

impl Known {
    fn is_good(&self) -> bool {
        self.pushed_since < COUNT_CACHE_PUSHES
            && self.read_at.is_some_and(|at| at.elapsed() < COUNT_CACHE_TTL)
    }
}

/// A push that was let in. Dropped when it has ended.
pub(super) struct Admitted<'a>(&'a Admission);

impl Admission {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Lets a push in, or tells that the queue is full.
    pub(super) async fn enter(
        &self,
        conn: &mut impl ConnectionLike,
        config: &Config,
    ) -> Result<Option<Admitted<'_>>, QueueError> {
        if !self.known().is_good() {
            let _one = self.asking.lock().await;
            if !self.known().is_good() {
                let depth = waiting(conn, config).await?;
                self.learn(depth);
            }
        }
        Ok(self.try_enter())
    }

    fn learn(&self, depth: u64) {
        let mut known = self.known();
        known.depth = depth;
        known.read_at = Some(Instant::now());
        // Those under way may or may not be in the depth: counted, to be safe.
        known.pushed_since = known.under_way;
    }

    fn try_enter(&self) -> Option<Admitted<'_>> {
        let mut known = self.known();
        if known.depth + known.pushed_since >= self.limit {
            return None;
        }
        known.pushed_since += 1;
        known.under_way += 1;
        Some(Admitted(self))
    }

    /// No code runs under the lock that could leave it half changed.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.known().under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn own_pushes_count_until_the_depth_is_read_again() {
        let guard = Admission::new(10);
        guard.learn(8);
        let (first, second) = (guard.try_enter(), guard.try_enter());
        assert!(first.is_some() && second.is_some());
        assert!(guard.try_enter().is_none());
        // Read anew while both are under way: they may not be in it yet.
        guard.learn(8);
        assert!(guard.try_enter().is_none());
        drop((first, second));
        guard.learn(8);
        assert!(guard.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_goes_stale_by_time_and_by_pushes() {
        let guard = Admission::new(2_000);
        assert!(!guard.known().is_good());
        guard.learn(0);
        assert!(guard.known().is_good());
        tokio::time::advance(COUNT_CACHE_TTL).await;
        assert!(!guard.known().is_good());
        guard.learn(0);
        for _ in 0..COUNT_CACHE_PUSHES {
            assert!(guard.try_enter().is_some());
        }
        assert!(!guard.known().is_good());
    }
}
