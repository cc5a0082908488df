//! Periodically checks whether the process is ready and whether its dependencies respond, for the metrics and the log.

use crate::metrics::Metrics;
use crate::ops::{self, Ready};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks `dependency` until `stop` is cancelled; `ask` fails if it does not respond.
pub async fn dependency(
    metrics: Arc<Metrics>,
    dependency: &'static str,
    ask: Ready,
    stop: CancellationToken,
) {
    let mut known = Known::default();
    let mut ticks = ticks();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let started = Instant::now();
        let answer = match tokio::time::timeout(CHECK_TIMEOUT, ask()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        };
        metrics.dependency(dependency, answer.is_ok(), started.elapsed());
        match known.change(answer) {
            Some(Ok(())) => tracing::info!(dependency, "dependency responds again"),
            Some(Err(error)) => tracing::warn!(dependency, error, "dependency does not respond"),
            None => {}
        }
    }
}

/// Exports whether the process is ready, until `stop` is cancelled.
pub async fn readiness(metrics: Arc<Metrics>, ready: Ready, stop: CancellationToken) {
    let mut known = Known::default();
    let mut ticks = ticks();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let found = ops::check(&ready).await;
        metrics.ready.set(found.is_ok().into());
        match known.change(found) {
            Some(Ok(())) => tracing::info!("ready again"),
            Some(Err(error)) => tracing::warn!(error, "not ready"),
            None => {}
        }
    }
    metrics.ready.set(0);
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// What a check found last, so that only news are logged.
#[derive(Default)]
struct Known {
    failure: Option<String>,
    began: Option<Instant>,
}

/// How long after its start a process may say that it is not ready yet without a warning.
const START: Duration = Duration::from_secs(10);

impl Known {
    /// What was found, if it is another thing than before.
    fn change(&mut self, found: Result<(), String>) -> Option<Result<(), String>> {
        let starts = self.began.get_or_insert_with(Instant::now).elapsed() < START;
        // How long something has lasted is no news.
        let without_numbers = |error: &String| error.replace(|c: char| c.is_ascii_digit(), "");
        let failure = found.as_ref().err().map(without_numbers);
        if failure == self.failure || (starts && failure.is_some()) {
            return None;
        }
        self.failure = failure;
        Some(found)
    }
}
