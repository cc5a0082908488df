//! Supervises a lane's worker: restarts it whenever it ends without a stop.

use crate::{QueueError, QueueMetrics, QueueName};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Restart settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) first_delay: Duration,
    pub(crate) max_delay: Duration,
    /// How long a lane may fail continuously before the supervisor gives up.
    pub(crate) give_up_after: Option<Duration>,
}

impl Policy {
    /// Doubles with every failure. No jitter: these are a few connections, not many clients.
    fn delay(&self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        self.first_delay.saturating_mul(doubled).min(self.max_delay)
    }
}

/// Why a worker ended on its own.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reason: String,
    /// Whether it worked before: then the next failure starts a new count.
    pub(crate) was_healthy: bool,
}

/// The lane that is supervised.
pub(crate) struct Supervised<'a> {
    pub(crate) queue: QueueName,
    pub(crate) policy: Policy,
    pub(crate) metrics: &'a QueueMetrics,
    pub(crate) stopping: &'a CancellationToken,
}

impl Supervised<'_> {
    /// Runs `work` repeatedly until the lane stops. Fails only if it gives up.
    pub(crate) async fn keep<W, F>(&self, mut work: W) -> Result<(), QueueError>
    where
        W: FnMut() -> F,
        F: Future<Output = Ended>,
    {
        let mut failing_since = Instant::now();
        let mut failures = 0;
        loop {
            let ended = self.once(&mut work).await;
            if self.stopping.is_cancelled() {
                return Ok(());
            }
            if ended.was_healthy || failures == 0 {
                failing_since = Instant::now();
                failures = 0;
            }
            failures += 1;
            self.metrics.restarted(self.queue);
            self.check_patience(failing_since)?;
            let delay = self.policy.delay(failures);
            self.report(&ended, failures, delay);
            self.stopping.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
    }

    /// One run of the worker. apalis has `unreachable!` in its state machine: a panic is one of the possible
    /// reasons.
    async fn once<W, F>(&self, work: &mut W) -> Ended
    where
        W: FnMut() -> F,
        F: Future<Output = Ended>,
    {
        AssertUnwindSafe(work())
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Ended { reason: "panic".into(), was_healthy: false })
    }

    fn check_patience(&self, failing_since: Instant) -> Result<(), QueueError> {
        match self.policy.give_up_after {
            Some(patience) if failing_since.elapsed() >= patience => Err(QueueError::GaveUp {
                queue: self.queue.as_str(),
                seconds: failing_since.elapsed().as_secs(),
            }),
            _ => Ok(()),
        }
    }

    /// An outage of hours causes thousands of restarts; only the 1st, 2nd, 4th, 8th … are worth a warning.
    fn report(&self, ended: &Ended, failures: u32, delay: Duration) {
        let queue = self.queue.as_str();
        let reason = ended.reason.as_str();
        if failures.is_power_of_two() {
            warn!(queue, reason, failures, ?delay, "queue worker ended; restarting");
        } else {
            info!(queue, reason, failures, ?delay, "queue worker ended; restarting");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;
    use std::sync::atomic::{AtomicU32, Ordering};

    const POLICY: Policy = Policy {
        first_delay: Duration::from_millis(50),
        max_delay: Duration::from_secs(2),
        give_up_after: Some(Duration::from_mins(1)),
    };

    #[test]
    fn delays_double_up_to_the_limit() {
        let delays = [1, 2, 3, 6, 7, 1000].map(|n| POLICY.delay(n).as_millis());
        assert_eq!(delays, [50, 100, 200, 1600, 2000, 2000]);
    }

    async fn keep(policy: Policy, was_healthy: bool, lives: u32) -> (Result<(), QueueError>, u32) {
        let metrics = QueueMetrics::register(&Registry::new()).unwrap();
        let stopping = CancellationToken::new();
        let lived = AtomicU32::new(0);
        let supervised =
            Supervised { queue: QueueName::Turn, policy, metrics: &metrics, stopping: &stopping };
        let end = supervised
            .keep(|| async {
                if lived.fetch_add(1, Ordering::SeqCst) + 1 == lives {
                    stopping.cancel();
                }
                assert!(was_healthy || lived.load(Ordering::SeqCst) != 2, "a panic is survived");
                Ended { reason: "test".into(), was_healthy }
            })
            .await;
        (end, lived.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_nothing_ever_worked() {
        let (end, lived) = keep(POLICY, false, u32::MAX).await;
        assert!(matches!(end, Err(QueueError::GaveUp { queue: "turn", .. })));
        assert!(lived > 25, "{lived}");
    }

    #[tokio::test(start_paused = true)]
    async fn continues_if_it_works_in_between() {
        let (end, lived) = keep(POLICY, true, 10_000).await;
        assert!(end.is_ok());
        assert_eq!(lived, 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_never_gives_up() {
        let patient = Policy { give_up_after: None, ..POLICY };
        let (end, lived) = keep(patient, false, 50_000).await;
        assert!(end.is_ok());
        assert_eq!(lived, 50_000);
    }
}
