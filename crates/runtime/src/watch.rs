//! Periodically checks whether a dependency responds, for the metrics.

use crate::metrics::Metrics;
use crate::ops::Ready;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks `dependency` until `stop` is cancelled; `ask` fails if it does not respond.
pub async fn dependency(
    metrics: Arc<Metrics>,
    dependency: &'static str,
    ask: Ready,
    stop: CancellationToken,
) {
    let mut beat = tokio::time::interval(CHECK_INTERVAL);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_up = true;
    while stop.run_until_cancelled(beat.tick()).await.is_some() {
        let started = Instant::now();
        let answer = tokio::time::timeout(CHECK_TIMEOUT, ask()).await;
        let up = matches!(answer, Ok(Ok(())));
        metrics.dependency(dependency, up, started.elapsed());
        if up != was_up {
            was_up = up;
            if up {
                tracing::info!(dependency, "dependency responds again");
            } else {
                tracing::warn!(dependency, "dependency does not respond");
            }
        }
    }
}
