//! The depth of a queue, and whether another job may be pushed.

use super::link::classified;
use crate::QueueError;
use ::redis::aio::ConnectionLike;
use apalis_redis::Config;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Hard limit of waiting jobs, whatever is configured: see [`Admission`].
pub(super) const WAITING_MAX: u64 = 2_000;
/// A cached depth is valid for this long …
const COUNT_CACHE_TTL: Duration = Duration::from_millis(50);
/// … and for this many pushes of this process.
const COUNT_CACHE_PUSHES: u64 = 50;

/// The number of waiting jobs: those that may be fetched, and those apalis has yet to move.
///
/// apalis-redis 1.0.0's own counts are unusable: it applies ZCARD to lists and sets (WRONGTYPE), and its
/// listing of queues is always empty.
pub(super) async fn waiting(conn: &mut impl ConnectionLike, config: &Config) -> Result<u64, QueueError> {
    let (active, scheduled): (u64, u64) = ::redis::pipe()
        .llen(config.active_jobs_list())
        .zcard(config.scheduled_jobs_set())
        .query_async(conn)
        .await
        .map_err(|error| classified(&error))?;
    Ok(active + scheduled)
}

/// The admission guard of a queue.
///
/// apalis-redis 1.0.0 passes every job through a sorted set and moves all of it with one `unpack`, which Lua
/// limits: with about 8,000 jobs there between two fetches, every later fetch fails and the queue is blocked
/// for ever. So at most 2,000 may wait; the rest stays due in SQL.
///
/// The depth is read every 50 ms, or every 50 pushes of this process, whichever comes first; in between our
/// own pushes are added to it. Several processes can therefore exceed the limit together, by at most 50 plus
/// their pushes in progress each: sixty of them stay below 8,000.
pub(super) struct Admission {
    limit: u64,
    known: Mutex<Known>,
    /// One caller reads the depth; the others wait for the result.
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

/// An admitted push. Dropped when it has ended.
pub(super) struct Admitted<'a>(&'a Admission);

impl Admission {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Admits a push, or reports that the queue is full.
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
        // Pushes in progress may or may not be in the depth: count them, to be safe.
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

    /// No code under the lock can leave it half changed.
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
        // Read again while both are in progress: they may not be included yet.
        guard.learn(8);
        assert!(guard.try_enter().is_none());
        drop((first, second));
        guard.learn(8);
        assert!(guard.try_enter().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cached_depth_expires_by_time_and_by_pushes() {
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
