//! Renews this worker's row, which tells the others that its work is in hand; and loads the circuit breakers.

use crate::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Interval of loading the circuit breakers.
const BREAKERS_INTERVAL: Duration = Duration::from_secs(1);

/// Renews the row every quarter of its lease, until `ended`; then ends the row.
pub(crate) async fn run(ctx: Arc<Context>, ended: CancellationToken) {
    let lease = ctx.liveness.lease();
    let process = dmrelay_app::process_info(ctx.worker, "worker", &ctx.vault);
    let mut ticks = tokio::time::interval(lease / 4);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let began = Instant::now();
        match tokio::time::timeout(lease / 2, ctx.store.heartbeat(&process, lease)).await {
            Ok(Ok(())) => ctx.liveness.renewed(began),
            Ok(Err(err)) => {
                tracing::warn!(error = %err, "cannot renew this worker's row");
                ctx.liveness.missed();
            }
            Err(_) => {
                tracing::warn!("cannot renew this worker's row: the database does not respond");
                ctx.liveness.missed();
            }
        }
        // The health remembers what came of it. A renewed row needs no more room on the disk; new rows do.
        let probe = Box::pin(ctx.writing.watch(ctx.store.probe_write()));
        let _ = tokio::time::timeout(lease / 4, probe).await;
    }
    if let Err(err) = ctx.budgets.write_down(&ctx.store).await {
        tracing::warn!(error = %err, "cannot write down how often the agent was asked in the last second");
    }
    // Best effort: otherwise the row expires.
    let _ = ctx.store.retire_process(ctx.worker).await;
}

/// Loads the circuit breakers, until the worker stops.
pub(crate) async fn watch_breakers(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(BREAKERS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ctx.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(err) = ctx.keys.refresh(&ctx.store).await {
            tracing::debug!(error = %err, "cannot load which subaccounts have a key of their own");
        }
        if let Err(err) = ctx.budgets.refresh(&ctx.store, &ctx.metrics, ctx.database_now()).await {
            tracing::debug!(error = %err, "cannot load how often the agent was asked");
        }
        if let Err(err) = ctx.breakers.refresh().await {
            tracing::debug!(error = %err, "cannot load the circuit breakers");
        }
    }
}
