//! Background services: the poller, the worker's heartbeat, and the leader's housekeeping.

mod erasure;
mod gauges;
pub(crate) mod heartbeat;
mod incidents;
mod poller;
mod retention;
mod tokens;
mod upkeep;
mod usage;

use crate::Context;
use dmrelay_store::Leadership;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Minimum leader lease: how long a dead leader keeps others from leading.
const LEASE_MIN: Duration = Duration::from_secs(5);

/// Starts the services; they end when `shutdown` is cancelled.
pub(crate) fn start(ctx: &Arc<Context>, shutdown: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
    let poller = Service { name: POLLER, interval: ctx.options.worker.sweep_interval };
    let gauges = Service { name: GAUGES, interval: Duration::from_secs(5) };
    let retention = Service { name: "retention", interval: Duration::from_mins(10) };
    let erasure = Service { name: "erasure", interval: ctx.options.worker.erasure_interval };
    let upkeep = Service { name: "upkeep", interval: Duration::from_secs(5) };
    let tokens = Service { name: "tokens", interval: ctx.options.worker.token_check_interval };
    let usage = Service { name: USAGE, interval: ctx.options.worker.usage_interval };
    let incidents = Service { name: INCIDENTS, interval: ctx.options.worker.incidents.incident_interval };
    vec![
        tokio::spawn(incidents.run(ctx.clone(), shutdown.clone(), incidents::tick)),
        tokio::spawn(usage.run(ctx.clone(), shutdown.clone(), usage::tick)),
        tokio::spawn(upkeep.run(ctx.clone(), shutdown.clone(), upkeep::tick)),
        tokio::spawn(poller.run(ctx.clone(), shutdown.clone(), poller::tick)),
        tokio::spawn(gauges.run(ctx.clone(), shutdown.clone(), gauges::tick)),
        tokio::spawn(tokens.run(ctx.clone(), shutdown.clone(), tokens::tick)),
        tokio::spawn(erasure.run(ctx.clone(), shutdown.clone(), erasure::tick)),
        tokio::spawn(retention.run(ctx.clone(), shutdown.clone(), retention::tick)),
    ]
}

/// The service whose gauges this process shows only while it leads.
const GAUGES: &str = "gauges";

/// The service whose counts this process shows only while it leads.
const USAGE: &str = "usage";

/// The service whose gauge this process shows only while it leads.
const INCIDENTS: &str = "incidents";

/// The service that decides this worker's readiness. The name is stored, and a metric label.
const POLLER: &str = "sweep";

struct Service {
    name: &'static str,
    interval: Duration,
}

impl Service {
    /// Calls `work` on every tick while this process leads.
    async fn run<F, W>(self, ctx: Arc<Context>, shutdown: CancellationToken, work: W)
    where
        W: Fn(Arc<Context>) -> F,
        F: Future<Output = dmrelay_store::Result<()>>,
    {
        let leadership = Leadership::new(self.name);
        let leads = ctx.metrics.leader.with_label_values(&[self.name]);
        let lease = LEASE_MIN.max(self.interval * 2);
        let mut held = Instant::now();
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let tick = async {
                match leadership.hold(&ctx.store, lease).await {
                    Ok(true) => {
                        held = Instant::now();
                        leads.set(1);
                        work(ctx.clone()).await
                    }
                    Ok(false) => {
                        self.lost(&ctx);
                        Ok(())
                    }
                    Err(err) => {
                        // Cut off from the database for longer than the lease: another process may lead by
                        // now.
                        if held.elapsed() > lease {
                            self.lost(&ctx);
                        }
                        Err(err)
                    }
                }
            };
            let outcome = if self.name == POLLER { ctx.polling.watch(tick).await } else { tick.await };
            if let Err(err) = outcome {
                ctx.metrics.service_errors.with_label_values(&[self.name]).inc();
                tracing::warn!(service = self.name, error = %err, "service tick failed; retrying on the next");
            }
        }
        // Best effort: otherwise another process leads when the lease expires.
        let _ = leadership.resign(&ctx.store).await;
    }

    /// Shows that this process no longer leads, if it did.
    fn lost(&self, ctx: &Context) {
        let leads = ctx.metrics.leader.with_label_values(&[self.name]);
        if leads.get() == 1 && self.name == GAUGES {
            gauges::forget(ctx);
        }
        if leads.get() == 1 && self.name == USAGE {
            ctx.metrics.usage_today.reset();
        }
        if leads.get() == 1 && self.name == INCIDENTS {
            ctx.metrics.incidents.reset();
        }
        leads.set(0);
    }
}
