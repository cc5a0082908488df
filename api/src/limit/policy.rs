//! One rate limit: a token bucket per key, with a burst capacity and a steady refill.

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

/// Maximum number of keys with their own bucket; about 10 MB.
const BUCKETS_MAX: usize = 100_000;

/// One limit with a bucket per key.
pub(super) struct Policy<K: Hash + Eq + Clone, C: Clock> {
    name: &'static str,
    per_second: NonZeroU32,
    quota: NonZeroU32,
    limiter: RateLimiter<K, Buckets<K>, C, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone, C: Clock> Policy<K, C> {
    /// `burst` calls at once, and `rate` per second over time.
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

    /// Counts a call, unless it exceeds the limit.
    pub(super) fn check(&self, key: &K) -> Rate {
        let checked = self.limiter.check_key(key);
        let wait = match &checked {
            // The next call is allowed within one refill interval.
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

    /// Drops full buckets: they are equivalent to new ones.
    pub(super) fn shrink(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.limiter.len()
    }
}

/// Whole seconds, rounded up, at least one, so that a caller who waits this long is never too early.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A bucket per key, and a shared one for all others once there are too many keys.
///
/// Memory is bounded however many addresses an attacker has (a small IPv6 allocation is millions of /64).
/// Sharing is safe: a key that has a bucket keeps it, so newcomers do not affect existing callers; newcomers
/// together get what one of them would get, so more addresses give no more calls; and full buckets are
/// dropped every minute, so sharing ends soon after the flood does.
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
        // Concurrent calls may exceed `most` by one per thread.
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
