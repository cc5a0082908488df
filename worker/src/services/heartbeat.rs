//! Renews this worker's row, which tells the others that its work is in hand; tries whether writes get through; and loads the
//! circuit breakers.

use crate::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Interval of loading the circuit breakers.
const BREAKERS_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of the writes that readiness is told by, and how long each may take.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// Renews the row every quarter of its lease, until `ended`; then ends the row.
pub(crate) async fn run(ctx: Arc<Context>, ended: CancellationToken) {
    let lease = ctx.liveness.lease();
    let mut ticks = tokio::time::interval(lease / 4);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let began = Instant::now();
        let process = dmrelay_app::process_info(ctx.worker, "worker", &ctx.vault);
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
    }
    if let Err(err) = ctx.budgets.write_down(&ctx.store).await {
        tracing::warn!(error = %err, "cannot write down how often the agent was asked in the last second");
    }
    // Best effort: otherwise the row expires.
    let _ = ctx.store.retire_process(ctx.worker).await;
}

/// Writes a page and takes it back, until the worker stops: a renewed row needs no more room on the disk, and new rows do.
pub(crate) async fn probe_writes(ctx: Arc<Context>) {
    let mut ticks = tokio::time::interval(WRITE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while ctx.stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let probe = async {
            match tokio::time::timeout(WRITE_INTERVAL, Box::pin(ctx.store.probe_write())).await {
                Ok(written) => written.map_err(|err| err.to_string()),
                Err(_) => Err("the database does not answer in time".to_owned()),
            }
        };
        // The health remembers what came of it.
        let _ = ctx.writing.watch(probe).await;
    }
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
            tracing::warn!(error = %err, "cannot load the circuit breakers and pauses");
        }
    }
}
