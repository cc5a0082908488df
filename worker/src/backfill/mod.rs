//! Messages that no webhook brought. Meta's list of conversations is looked at regularly, and after a known gap all that changed
//! since is read. What is missing goes into the inbox like a webhook's event, under the same key: a late webhook is a duplicate.

mod look;

use crate::Context;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_instagram::GraphError;
use dmrelay_store::Connection;
use dmrelay_store::entity::backfill;
use look::Look;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often it is looked which connections are due.
const TICK: Duration = Duration::from_secs(2);

/// A look is held for a third of its lease at a time.
const HOLDS: u32 = 3;

/// So many intervals pass at least when Meta answers that there were too many calls.
const THROTTLED_INTERVALS: u32 = 5;

/// Conversations whose customer is remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 100_000;

/// Whose conversations are which, as far as they were read by this process.
#[derive(Debug, Default)]
pub(crate) struct Threads(Mutex<HashMap<String, InstagramUserId>>);

impl Threads {
    fn user(&self, conversation: &str) -> Option<InstagramUserId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(conversation).cloned()
    }

    fn remember(&self, conversation: &str, user: InstagramUserId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(conversation.to_owned(), user);
    }
}

/// Why a look ends early.
enum Interrupted {
    /// Meta cannot tell now.
    Graph(GraphError),
    /// The database cannot.
    Store(dmrelay_store::Error),
}

impl From<dmrelay_store::Error> for Interrupted {
    fn from(err: dmrelay_store::Error) -> Self {
        Self::Store(err)
    }
}

/// Looks at connections when they are due, until `shutdown`.
pub(crate) async fn run(ctx: Arc<Context>, shutdown: CancellationToken) {
    let worker = &ctx.options.worker;
    if worker.backfill_interval.is_zero() {
        return;
    }
    let at_a_time = usize::from(worker.backfill_concurrency);
    // Each connection is for itself: one with many conversations keeps no other waiting. They end with this function.
    let mut looks = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK.min(worker.backfill_interval));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Whether more may be due than were claimed.
    let mut is_behind = false;
    loop {
        let next = async {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(_) = looks.join_next(), if is_behind => {}
            }
        };
        if shutdown.run_until_cancelled(next).await.is_none() {
            return;
        }
        while looks.try_join_next().is_some() {}
        let free = at_a_time.saturating_sub(looks.len());
        if free == 0 {
            continue;
        }
        let most = u64::try_from(free).unwrap_or(u64::MAX);
        let due = match ctx.store.claim_backfills(worker.backfill_interval, most).await {
            Ok(due) => due,
            Err(err) => {
                tracing::warn!(error = %err, "cannot look which conversations are to be compared; retrying");
                continue;
            }
        };
        is_behind = due.len() >= free;
        for (connection, row) in due {
            let ctx = ctx.clone();
            looks.spawn(async move {
                tokio::select! {
                    () = one(&ctx, &connection, &row) => {}
                    () = lost(&ctx, &connection, &row) => {
                        tracing::debug!(connection = %connection.id, "a look ends: the connection is another's to look at, or nobody's");
                    }
                }
            });
        }
    }
}

/// Holds a connection while it is looked at. Ends when it is this process's no longer.
async fn lost(ctx: &Context, connection: &Connection, row: &backfill::Model) {
    let interval = ctx.options.worker.backfill_interval;
    loop {
        tokio::time::sleep(interval / HOLDS).await;
        match ctx.store.hold_backfill(connection, row, interval).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(err) => {
                tracing::debug!(connection = %connection.id, error = %err, "cannot hold a look; retrying");
            }
        }
    }
}

async fn one(ctx: &Context, connection: &Connection, row: &backfill::Model) {
    let access = match ctx.access(connection) {
        Ok(access) => access,
        // The checks of the connection tell.
        Err(err) => {
            return tracing::debug!(connection = %connection.id, error = %err, "cannot decrypt a token");
        }
    };
    let look = Look { ctx, connection, access };
    let outcome = match row.since {
        Some(since) => Box::pin(look.since(row, since)).await,
        None => Box::pin(look.recent(row)).await,
    };
    match outcome {
        Ok(()) => {}
        Err(Interrupted::Store(err)) => {
            tracing::warn!(connection = %connection.id, error = %err, "cannot compare conversations; retrying");
        }
        Err(Interrupted::Graph(err)) => {
            tracing::info!(connection = %connection.id, class = err.class.as_str(), error = %err, "Meta does not show conversations now");
            if err.class == FailureClass::Throttled {
                let wait = err.retry_after.unwrap_or_default();
                let wait = wait.max(ctx.options.worker.backfill_interval * THROTTLED_INTERVALS);
                if let Err(err) = ctx.store.delay_backfill(row, wait).await {
                    tracing::warn!(connection = %connection.id, error = %err, "cannot postpone a look");
                }
            }
            if err.class == FailureClass::Reauth {
                let status = ConnectionStatus::ReauthRequired;
                if let Err(err) = ctx.store.park_connection(connection, status, &err.code).await {
                    tracing::warn!(connection = %connection.id, error = %err, "cannot park the connection");
                }
            }
        }
    }
}
