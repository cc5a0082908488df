//! How many events an account and a subaccount may bring at a time. What is beyond is stored and acknowledged like any other,
//! and taken in later, so that one tenant's flood waits for itself and not others for it. Counted in this process (GCRA, the
//! generic cell rate algorithm of ITU-T I.371, which knows of each key only when its next event would be in time).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A sustained rate, and how many may come at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Time between two events at the sustained rate.
    interval: Duration,
    /// How far ahead of it they may be.
    burst: Duration,
}

/// The budgets of a process; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budgets {
    account: Rate,
    subaccount: Rate,
    /// When the next event of each would be in time.
    next: Arc<Mutex<HashMap<Key, Instant>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Subaccount(String),
}

/// The number of keys from which those that owe nothing are forgotten.
const KEPT: usize = 10_000;

impl Rate {
    /// So many a second, and so many at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval * burst.max(1) }
    }
}

impl Budgets {
    pub(crate) fn new(account: Rate, subaccount: Rate) -> Self {
        Self { account, subaccount, next: Arc::default() }
    }

    /// How long so many further events of an account would wait. Nothing is counted.
    pub(crate) fn would_wait(&self, account: &str, subaccount: Option<&str>) -> Duration {
        let (now, next) = (Instant::now(), self.lock());
        let waits = self.keys(account, subaccount).map(|(key, rate)| {
            let due = next.get(&key).copied().unwrap_or(now).max(now);
            (due - now).saturating_sub(rate.burst)
        });
        waits.into_iter().max().unwrap_or_default()
    }

    /// Counts an event of an account, and gives how long it is to wait: zero within the budgets.
    pub(crate) fn take(&self, account: &str, subaccount: Option<&str>) -> Duration {
        let (now, mut next) = (Instant::now(), self.lock());
        if next.len() >= KEPT {
            next.retain(|_, due| *due > now);
        }
        let mut wait = Duration::ZERO;
        for (key, rate) in self.keys(account, subaccount) {
            let due = next.get(&key).copied().unwrap_or(now).max(now) + rate.interval;
            wait = wait.max((due - now).saturating_sub(rate.burst));
            next.insert(key, due);
        }
        wait
    }

    fn keys(&self, account: &str, subaccount: Option<&str>) -> impl Iterator<Item = (Key, Rate)> + use<> {
        let account = (Key::Account(account.to_owned()), self.account);
        let of = self.subaccount;
        let subaccount = subaccount.map(|subaccount| (Key::Subaccount(subaccount.to_owned()), of));
        std::iter::once(account).chain(subaccount)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_a_budget_waits_in_line() {
        let budgets = Budgets::new(Rate::new(10, 5), Rate::new(1_000, 8));
        // Five at once, and then one each tenth of a second.
        for _ in 0..5 {
            assert_eq!(budgets.take("1", Some("acme")), Duration::ZERO);
        }
        let waits: Vec<u128> = (0..3).map(|_| budgets.take("1", None).as_millis()).collect();
        assert!((50..=100).contains(&waits[0]) && (150..=200).contains(&waits[1]), "{waits:?}");
        assert!((250..=300).contains(&waits[2]), "{waits:?}");
        // Another account of the same subaccount has its own, and shares that of the subaccount.
        for _ in 0..3 {
            assert_eq!(budgets.take("2", Some("acme")), Duration::ZERO);
        }
        assert!(budgets.would_wait("1", None) > Duration::ZERO);
        assert_eq!(budgets.take("3", Some("other")), Duration::ZERO);
        assert_eq!(budgets.would_wait("4", None), Duration::ZERO);
    }
}
