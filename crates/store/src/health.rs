//! Whether work that goes on by itself gets through to the database. Asking the database anew would not tell: a new
//! connection may be fine while the work waits on an old one.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The health of one kind of work.
#[derive(Debug)]
pub struct Health {
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// When each attempt under way began.
    under_way: BTreeMap<u64, Instant>,
    /// When the last attempt to end began, or why it failed. None before the first has ended.
    last: Option<Result<Instant, String>>,
}

/// Ends an attempt, also one that is cancelled.
struct UnderWay<'a>(&'a Health, u64);

impl Health {
    /// Of work that takes no longer than `limit` while all is well.
    pub fn new(limit: Duration) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Does a piece of the work, and remembers how it went.
    ///
    /// # Errors
    /// What the work says.
    pub async fn watch<T, E: Display>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let began = Instant::now();
        let number = {
            let mut state = self.lock();
            state.next += 1;
            let number = state.next;
            state.under_way.insert(number, began);
            number
        };
        let under_way = UnderWay(self, number);
        let outcome = work.await;
        self.lock().last = Some(outcome.as_ref().map(|_| began).map_err(ToString::to_string));
        drop(under_way);
        outcome
    }

    /// Whether the work gets through.
    ///
    /// # Errors
    /// What it waits for, or what happened to it last.
    pub fn check(&self) -> Result<(), String> {
        let state = self.lock();
        let longest = state.under_way.values().min().map(Instant::elapsed);
        if let Some(waited) = longest.filter(|waited| *waited > self.limit) {
            return Err(format!("no answer for {} s", waited.as_secs()));
        }
        match &state.last {
            None => Err("nothing was done yet".to_owned()),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(_)) => Ok(()),
        }
    }

    /// Whether a piece of the work that began so recently got through.
    pub fn succeeded_within(&self, time: Duration) -> bool {
        matches!(&self.lock().last, Some(Ok(began)) if began.elapsed() < time)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_healthy_when_it_got_through_last_and_does_not_wait_too_long() {
        let health = Health::new(Duration::ZERO);
        assert!(health.check().is_err(), "healthy before anything was done");
        assert_eq!(health.watch(async { Ok::<_, String>(1) }).await, Ok(1));
        assert_eq!(health.check(), Ok(()));
        assert!(health.succeeded_within(Duration::from_mins(1)) && !health.succeeded_within(Duration::ZERO));
        assert!(health.watch(async { Err::<(), _>("gone") }).await.is_err());
        assert_eq!(health.check(), Err("gone".to_owned()));
        health.watch(async { Ok::<_, String>(()) }).await.unwrap();
        // One that hangs.
        let mut hangs = std::pin::pin!(health.watch(std::future::pending::<Result<(), String>>()));
        assert!(futures::poll!(&mut hangs).is_pending());
        assert!(health.check().is_err_and(|error| error.starts_with("no answer")));
        assert_eq!(health.watch(async { Ok::<_, String>(2) }).await, Ok(2));
        assert!(health.check().is_err(), "one that gets through hides one that hangs");
    }

    #[tokio::test]
    async fn work_that_is_cancelled_is_not_waited_for() {
        let health = Health::new(Duration::ZERO);
        health.watch(async { Ok::<_, String>(()) }).await.unwrap();
        let hangs = health.watch(std::future::pending::<Result<(), String>>());
        assert!(tokio::time::timeout(Duration::from_millis(1), hangs).await.is_err());
        assert_eq!(health.check(), Ok(()));
    }
}
