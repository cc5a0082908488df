//! The health of connections: whether Meta still accepts the token and delivers messages. Checked after a connect, every
//! `CHECK_INTERVAL` and on demand; any API process may check, each connection by one of them.

mod examine;
mod seen;

use crate::state::ApiState;
use dmrelay_domain::states::{CheckName, CheckState};
use dmrelay_store::{Connection, Finding};
use examine::Examination;
use futures::{StreamExt, stream};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked which checks are due.
const TICK: Duration = Duration::from_secs(5);

/// Connections claimed at a time, for each that is checked at a time.
const CLAIMED: u64 = 4;

/// Checks connections when they are due, until `stop`.
pub(crate) async fn run(state: ApiState, stop: CancellationToken) {
    let settings = &state.options.api.health;
    if settings.check_interval.is_zero() {
        return;
    }
    let at_a_time = usize::from(settings.check_concurrency);
    let mut ticks = tokio::time::interval(TICK.min(settings.check_interval));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let most = u64::from(settings.check_concurrency) * CLAIMED;
        let due = match state.store.claim_checks(settings.check_interval, most).await {
            Ok(due) => due,
            Err(err) => {
                tracing::warn!(error = %err, "cannot look which connections are to be checked; retrying");
                continue;
            }
        };
        let checks = stream::iter(due).for_each_concurrent(at_a_time, |connection| {
            let state = state.clone();
            async move {
                if let Err(err) = check(&state, &connection).await {
                    tracing::warn!(connection = %connection.id, error = %err, "cannot record a connection's checks");
                }
            }
        });
        if stop.run_until_cancelled(checks).await.is_none() {
            return;
        }
    }
}

/// Checks a connection now, and records what was found.
///
/// # Errors
/// What the database says.
pub(crate) async fn check(state: &ApiState, connection: &Connection) -> dmrelay_store::Result<()> {
    let Examination { mut found, token_ends_at } = Box::pin(examine::examine(state, connection)).await?;
    found.extend(seen::seen(state, connection, token_ends_at).await?);
    let changed = state.store.record_checks(connection, &found).await?;
    for finding in found.iter().filter(|finding| changed.contains(&finding.name)) {
        let Finding { name, state: check_state, detail } = finding;
        let (check, is) = (name.as_str(), check_state.as_str());
        if *name == CheckName::Traffic && check_state.is_bad() {
            let since = connection.row.quiet_since() - examine::GAP_MARGIN;
            state.store.request_backfill(connection.id, since, "silence").await?;
        }
        if *check_state == CheckState::Failing {
            tracing::warn!(connection = %connection.id, check, state = is, detail, "a connection's check fails");
        } else {
            tracing::info!(connection = %connection.id, check, state = is, detail, "a connection's check changed");
        }
    }
    Ok(())
}
