//! Whether this worker still counts as alive. Others rescue a worker's work once its row says it is dead, so
//! a worker that cannot renew its row takes no new work and begins no call.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// When the row was last renewed.
pub(crate) struct Liveness {
    lease: Duration,
    renewed: Mutex<Option<Instant>>,
    alive: watch::Sender<bool>,
}

impl Liveness {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, renewed: Mutex::default(), alive: watch::Sender::new(false) }
    }

    /// How long the row is valid after each renewal.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// The row was renewed by a statement that began then.
    pub(crate) fn renewed(&self, began: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        self.alive.send_replace(true);
    }

    /// The row could not be renewed.
    pub(crate) fn missed(&self) {
        self.alive.send_replace(self.is_alive());
    }

    /// Whether other workers certainly still consider this one alive.
    pub(crate) fn is_alive(&self) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_some_and(|at| at.elapsed() < self.lease)
    }

    /// Resolves when that changes.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.alive.subscribe()
    }
}

/// Time left for a call whose intent was committed by a transaction that began then; `None` if it is too
/// late: other workers may soon conclude that it was never made.
pub(crate) fn time_left(began: Instant, timeout: Duration) -> Option<Duration> {
    timeout.checked_sub(began.elapsed()).filter(|left| *left > timeout / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_whose_intent_took_long_to_commit_is_not_made() {
        let timeout = Duration::from_secs(10);
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(time_left(Instant::now(), timeout).is_some());
        assert!(time_left(ago(4), timeout).is_some_and(|left| left <= Duration::from_secs(6)));
        assert_eq!(time_left(ago(5), timeout), None);
        assert_eq!(time_left(ago(30), timeout), None);
    }

    #[test]
    fn a_worker_that_never_renewed_does_not_count_as_alive() {
        let liveness = Liveness::new(Duration::from_secs(3));
        assert!(!liveness.is_alive());
        liveness.renewed(Instant::now());
        assert!(liveness.is_alive());
        liveness.renewed(Instant::now().checked_sub(Duration::from_secs(4)).unwrap());
        assert!(!liveness.is_alive());
    }
}
