//! Renews this worker's row, by which the others know that what it has in hand is seen to; and reads the circuit breakers.

use crate::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the circuit breakers are read.
const BREAKERS_INTERVAL: Duration = Duration::from_secs(1);

/// Renews the row at a quarter of its lease, until `ended`; then the row ends too.
pub(crate) async fn run(ctx: Arc<Context>, ended: CancellationToken) {
    let lease = ctx.liveness.lease();
    let mut ticks = tokio::time::interval(lease / 4);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let began = Instant::now();
        match tokio::time::timeout(lease / 2, ctx.store.heartbeat(ctx.worker, lease)).await {
            Ok(Ok(())) => ctx.liveness.renewed(began),
            Ok(Err(err)) => {
                tracing::warn!(error = %err, "this worker's row was not renewed");
                ctx.liveness.missed();
            }
            Err(_) => {
                tracing::warn!("this worker's row was not renewed: the database does not answer");
                ctx.liveness.missed();
            }
        }
    }
    // Best effort: without it the row ends by itself.
    let _ = ctx.store.retire_worker(ctx.worker).await;
}

/// Reads the circuit breakers, until the worker stops.
pub(crate) async fn watch_breakers(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(BREAKERS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ctx.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(err) = ctx.breakers.refresh().await {
            tracing::debug!(error = %err, "circuit breakers not read");
        }
    }
}
