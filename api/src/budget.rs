//! Rate limits for the events of an account and of a subaccount. Events over the limit are stored and acknowledged like any
//! other, and ingested later, so that one tenant's flood delays only that tenant. Counted per process with GCRA (the generic cell
//! rate algorithm of ITU-T I.371), which stores for each key only when its next event would conform.

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
    /// How long an event waits at most.
    wait_max: Duration,
    /// When the next event of each would be in time.
    next: Arc<Mutex<HashMap<Line, Instant>>>,
}

/// Events that wait for one another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Line {
    /// Those of an account.
    Account(String),
    /// Those of a subaccount whose accounts are within their own budgets.
    Subaccount(String),
    /// Those of a subaccount that already wait for their account: they delay no other account.
    Waiting(String),
}

/// What a webhook takes of the budgets; given back on drop, unless its events are stored.
pub(crate) struct Charge {
    budgets: Budgets,
    taken: Vec<(Line, Duration)>,
}

/// The number of lines from which those that owe nothing are forgotten.
const KEPT: usize = 10_000;

impl Rate {
    /// So many a second, and so many at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { interval, burst: interval * burst.max(1) }
    }
}

impl Budgets {
    pub(crate) fn new(account: Rate, subaccount: Rate, wait_max: Duration) -> Self {
        Self { account, subaccount, wait_max, next: Arc::default() }
    }

    /// Whether an account has brought so much that its next event would wait for longer than events wait.
    pub(crate) fn is_used_up(&self, account: &str) -> bool {
        let (now, next) = (Instant::now(), self.lock());
        let due = next.get(&Line::Account(account.to_owned())).copied().unwrap_or(now);
        due.saturating_duration_since(now).saturating_sub(self.account.burst) > self.wait_max
    }

    /// What one webhook takes.
    pub(crate) fn charge(&self) -> Charge {
        Charge { budgets: self.clone(), taken: Vec::new() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Line, Instant>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Charge {
    /// Counts an event of an account, and gives how long it is to wait: zero within the budgets.
    pub(crate) fn take(&mut self, account: &str, subaccount: Option<&str>) -> Duration {
        let wait = self.take_of(Line::Account(account.to_owned()), self.budgets.account);
        let line = match subaccount {
            None => return wait.min(self.budgets.wait_max),
            Some(subaccount) if wait.is_zero() => Line::Subaccount(subaccount.to_owned()),
            Some(subaccount) => Line::Waiting(subaccount.to_owned()),
        };
        wait.max(self.take_of(line, self.budgets.subaccount)).min(self.budgets.wait_max)
    }

    fn take_of(&mut self, line: Line, rate: Rate) -> Duration {
        let (now, mut next) = (Instant::now(), self.budgets.lock());
        if next.len() >= KEPT {
            next.retain(|_, due| *due > now);
        }
        let due = next.get(&line).copied().unwrap_or(now).max(now) + rate.interval;
        next.insert(line.clone(), due);
        drop(next);
        self.taken.push((line, rate.interval));
        (due - now).saturating_sub(rate.burst)
    }

    /// The events are stored.
    pub(crate) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut next = self.budgets.lock();
        for (line, interval) in self.taken.drain(..) {
            if let Some(due) = next.get_mut(&line) {
                *due = due.checked_sub(interval).unwrap_or(*due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(budgets: &Budgets, account: &str, subaccount: &str) -> Duration {
        let mut charge = budgets.charge();
        let wait = charge.take(account, Some(subaccount));
        charge.keep();
        wait
    }

    #[test]
    fn what_is_beyond_a_budget_waits_in_line() {
        let budgets = Budgets::new(Rate::new(10, 5), Rate::new(1_000, 8), Duration::from_mins(1));
        // Five at once, and then one each tenth of a second.
        for _ in 0..5 {
            assert_eq!(take(&budgets, "1", "acme"), Duration::ZERO);
        }
        let waits: Vec<u128> = (0..3).map(|_| take(&budgets, "1", "acme").as_millis()).collect();
        assert!((50..=100).contains(&waits[0]) && (150..=200).contains(&waits[1]), "{waits:?}");
        assert!((250..=300).contains(&waits[2]), "{waits:?}");
        // Another account of the same subaccount has its own, and shares that of the subaccount with what did not wait.
        for _ in 0..3 {
            assert_eq!(take(&budgets, "2", "acme"), Duration::ZERO);
        }
        assert_eq!(take(&budgets, "3", "other"), Duration::ZERO);
    }

    #[test]
    fn an_accounts_flood_delays_no_account_beside_it_and_waits_no_longer_than_allowed() {
        let budgets = Budgets::new(Rate::new(50, 100), Rate::new(200, 400), Duration::from_secs(30));
        let waits: Vec<Duration> = (0..100_000).map(|_| take(&budgets, "1", "acme")).collect();
        assert_eq!(waits.iter().max(), Some(&Duration::from_secs(30)));
        assert!(budgets.is_used_up("1") && !budgets.is_used_up("2"));
        assert_eq!(take(&budgets, "2", "acme"), Duration::ZERO);
    }

    #[test]
    fn what_is_not_stored_is_not_counted() {
        let budgets = Budgets::new(Rate::new(1, 1), Rate::new(1, 1), Duration::from_secs(30));
        for _ in 0..100 {
            let mut charge = budgets.charge();
            assert_eq!(charge.take("1", Some("acme")), Duration::ZERO);
            assert!(charge.take("1", Some("acme")) > Duration::ZERO);
        }
        assert!(!budgets.is_used_up("1"));
    }
}
