//! One limit: a bucket for each key, that holds a burst and fills evenly.

use super::Rate;
use governor::clock::Clock;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::nanos::Nanos;
use governor::state::direct::NotKeyed;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{InMemoryState, StateStore};
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

/// The most keys that have a bucket of their own at a time; some 10 MB.
const BUCKETS_MAX: usize = 100_000;

/// One limit, and a bucket for each key.
pub(super) struct Policy<K: Hash + Eq + Clone, C: Clock> {
    name: &'static str,
    per_second: NonZeroU32,
    quota: NonZeroU32,
    limiter: RateLimiter<K, Buckets<K>, C, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone, C: Clock> Policy<K, C> {
    /// `burst` calls at once, and `rate` a second over time.
    pub(super) fn new(name: &'static str, rate: u32, burst: u32, clock: C) -> Self {
        Self::with_most(name, (rate, burst), clock, BUCKETS_MAX)
    }

    pub(super) fn with_most(name: &'static str, (rate, burst): (u32, u32), clock: C, most: usize) -> Self {
        let per_second = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let quota = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let buckets = Buckets { own: DashMapStateStore::default(), shared: InMemoryState::default(), most };
        let limiter = RateLimiter::new(Quota::per_second(per_second).allow_burst(quota), buckets, clock);
        Self { name, per_second, quota, limiter }
    }

    /// Counts a call, unless it is one too many.
    pub(super) fn check(&self, key: &K) -> Rate {
        let checked = self.limiter.check_key(key);
        let wait = match &checked {
            // The next one comes within the time of one.
            Ok(_) => Duration::from_secs(1) / self.per_second.get(),
            Err(refused) => refused.wait_time_from(self.limiter.clock().now()),
        };
        Rate {
            policy: self.name,
            quota: self.quota.get(),
            per_second: self.per_second.get(),
            window: self.quota.get().div_ceil(self.per_second.get()),
            remaining: checked.as_ref().map_or(0, StateSnapshot::remaining_burst_capacity),
            reset: seconds(wait),
            allowed: checked.is_ok(),
        }
    }

    /// Drops the buckets that are full again: they are like new ones.
    pub(super) fn shrink(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.limiter.len()
    }
}

/// Whole seconds, rounded up, at least one: who waits as long as he is told is not too early.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A bucket for each key, and one for all others once there are too many.
///
/// Memory is bounded whatever addresses an attacker has (a small IPv6 allocation is millions of /64). Sharing is
/// safe: whoever has a bucket keeps it, so that those who call are not touched by newcomers; newcomers get
/// together what one of them would get, so that nobody gets more by bringing more addresses; and buckets that
/// are full again are dropped every minute, so that it ends soon after the flood does.
struct Buckets<K: Hash + Eq + Clone> {
    own: DashMapStateStore<K>,
    shared: InMemoryState,
    most: usize,
}

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // Calls at the same moment may put a few more in than `most`: one for each thread.
        if !self.own.contains_key(key) && self.own.len() >= self.most {
            return self.shared.measure_and_replace(&NotKeyed::NonKey, f);
        }
        self.own.measure_and_replace(key, f)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Buckets<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.own.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.own.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.own.len()
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty()
    }
}
