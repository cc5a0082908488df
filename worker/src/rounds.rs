//! Attempts at what is due, so many at a time: for work that is claimed by its rows, not by way of the queue.

use crate::Context;
use dmrelay_store::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked what is due, besides when something has come.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Minimum time between two looks: of many attempts that end at once, not each is a reason to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What is attempted.
pub(crate) struct Rounds<'a> {
    /// In the words of the log.
    pub(crate) what: &'static str,
    /// How many attempts are under way at most.
    pub(crate) at_a_time: usize,
    /// Told when something has come.
    pub(crate) woken: &'a Notify,
}

impl Rounds<'_> {
    /// Claims what is due and attempts it, until `shutdown`. Attempts under way have the grace period of all started work.
    pub(crate) async fn run<T, C, A>(
        self,
        ctx: &Arc<Context>,
        shutdown: CancellationToken,
        claim: impl Fn(usize) -> C,
        attempt: impl Fn(T) -> A,
    ) where
        C: Future<Output = Result<Vec<T>>>,
        A: Future<Output = ()> + Send + 'static,
    {
        let mut attempts = JoinSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // What waited for its turn may be due once an attempt has ended.
            let next = async {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = self.woken.notified() => {}
                    Some(_) = attempts.join_next() => {}
                }
            };
            if shutdown.run_until_cancelled(next).await.is_none() {
                break;
            }
            while attempts.try_join_next().is_some() {}
            let free = self.at_a_time.saturating_sub(attempts.len());
            if free == 0 || !ctx.liveness.is_alive() {
                continue;
            }
            match claim(free).await {
                Ok(claimed) => {
                    for one in claimed {
                        attempts.spawn(ctx.tasks.track_future(attempt(one)));
                    }
                }
                Err(err) => tracing::warn!(error = %err, "cannot look which {} are due; retrying", self.what),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        attempts.detach_all();
    }
}
