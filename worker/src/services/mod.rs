//! What runs beside the jobs: the poller, the worker's heartbeat, and the leader's housekeeping.

mod gauges;
pub(crate) mod heartbeat;
mod poller;
mod retention;
mod tokens;
mod upkeep;

use crate::Context;
use dmrelay_store::Leadership;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a leader that died keeps the others from leading.
const LEAD: Duration = Duration::from_secs(5);

/// Starts them; they end when `shutdown` is cancelled.
pub(crate) fn start(ctx: &Arc<Context>, shutdown: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
    let poller = Service { name: POLLER, beat: ctx.options.worker.sweep_interval };
    let gauges = Service { name: GAUGES, beat: Duration::from_secs(5) };
    let retention = Service { name: "retention", beat: Duration::from_mins(10) };
    let upkeep = Service { name: "upkeep", beat: Duration::from_secs(5) };
    let tokens = Service { name: "tokens", beat: ctx.options.worker.token_check_interval };
    vec![
        tokio::spawn(upkeep.run(ctx.clone(), shutdown.clone(), upkeep::beat)),
        tokio::spawn(poller.run(ctx.clone(), shutdown.clone(), poller::tick)),
        tokio::spawn(gauges.run(ctx.clone(), shutdown.clone(), gauges::beat)),
        tokio::spawn(tokens.run(ctx.clone(), shutdown.clone(), tokens::beat)),
        tokio::spawn(retention.run(ctx.clone(), shutdown.clone(), retention::beat)),
    ]
}

/// The service whose results are this process's to show only while it leads.
const GAUGES: &str = "gauges";

/// The service by which a worker knows whether it is of use. The name is stored, and a label of metrics.
const POLLER: &str = "sweep";

struct Service {
    name: &'static str,
    beat: Duration,
}

impl Service {
    /// Calls `work` on every beat while this process leads.
    async fn run<F, W>(self, ctx: Arc<Context>, shutdown: CancellationToken, work: W)
    where
        W: Fn(Arc<Context>) -> F,
        F: Future<Output = dmrelay_store::Result<()>>,
    {
        let leadership = Leadership::new(self.name);
        let leads = ctx.metrics.leader.with_label_values(&[self.name]);
        let lease = LEAD.max(self.beat * 2);
        let mut held = Instant::now();
        let mut ticks = tokio::time::interval(self.beat);
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
                        // Cut off from the database for longer than the lease: another one may lead by now.
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
                tracing::warn!(service = self.name, error = %err, "service failed on this beat, goes on at the next");
            }
        }
        // Best effort: without it another process leads when the lease runs out.
        let _ = leadership.resign(&ctx.store).await;
    }

    /// Shows that this process does not lead, if it did.
    fn lost(&self, ctx: &Context) {
        let leads = ctx.metrics.leader.with_label_values(&[self.name]);
        if leads.get() == 1 && self.name == GAUGES {
            gauges::forget(ctx);
        }
        leads.set(0);
    }
}
