//! Retry delays: exponential backoff with full jitter, as implemented by the `backoff` crate. The single
//! place where that crate is used; it computes and never sleeps.

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use std::time::Duration;

/// A retry schedule: the n-th delay is drawn uniformly from zero to `base` × 2ⁿ, at most `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The upper bound of the first delay.
    pub base: Duration,
    /// The upper bound of every delay.
    pub cap: Duration,
}

/// For calls that failed without effect.
pub const CALLS: Schedule = Schedule { base: Duration::from_secs(2), cap: Duration::from_mins(5) };

/// For reconciling calls.
pub const RECONCILE: Schedule = Schedule { base: Duration::from_secs(2), cap: Duration::from_secs(15) };

/// For inbox events that could not be applied.
pub const INGEST: Schedule = Schedule { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// For notifications, of which half of each delay is fixed: with the default of attempts, the last one is made after 7 to 14 hours.
pub const NOTIFICATIONS: Schedule = Schedule { base: Duration::from_secs(10), cap: Duration::from_hours(4) };

/// The longest delay between two attempts to fetch a medium. The first is a setting.
pub const MEDIA_CAP: Duration = Duration::from_hours(4);

impl Schedule {
    /// The delay after `failures` consecutive failures (the first failure is 1).
    pub fn delay(&self, failures: u32) -> Duration {
        // The crate draws from interval ± factor; half the interval with a factor of one is full jitter.
        let mut policy = ExponentialBackoff {
            current_interval: self.base / 2,
            initial_interval: self.base / 2,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: self.cap / 2,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        // Beyond this many doublings every schedule has reached its cap.
        for _ in 1..failures.clamp(1, 32) {
            let _ = policy.next_backoff();
        }
        policy.next_backoff().unwrap_or(self.cap).min(self.cap)
    }

    /// The delay after `failures` consecutive failures at this position (0 to 1) of its range: for decisions
    /// that must not draw random numbers themselves.
    pub fn part_of(&self, failures: u32, place: f64) -> Duration {
        self.bound(failures).mul_f64(place.clamp(0.0, 1.0))
    }

    /// The upper bound of the delay after `failures` consecutive failures.
    pub fn bound(&self, failures: u32) -> Duration {
        let doublings = failures.clamp(1, 32) - 1;
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let schedule = Schedule { base: Duration::from_secs(1), cap: Duration::from_secs(10) };
        let bounds: Vec<_> = (1..=6).map(|n| schedule.bound(n).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn delays_cover_the_whole_range() {
        let schedule = Schedule { base: Duration::from_secs(10), cap: Duration::from_secs(10) };
        let delays: Vec<_> = (0..500).map(|_| schedule.delay(1)).collect();
        assert!(delays.iter().any(|d| *d < Duration::from_secs(2)));
        assert!(delays.iter().any(|d| *d > Duration::from_secs(8)));
    }

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_bound(failures in 0..u32::MAX, base in 1..5_000u64, cap in 1..400_000u64) {
            let schedule = Schedule { base: Duration::from_millis(base.min(cap)), cap: Duration::from_millis(cap) };
            prop_assert!(schedule.delay(failures) <= schedule.bound(failures) + Duration::from_millis(1));
        }
    }
}
