//! How it goes in a subaccount.

use crate::problem::Problem;
use crate::routes::{ids, is_live};
use crate::state::ApiState;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::Provider;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::{BreakerKey, BreakerState, Connection};
use dmrelay_views::{Observed, OverviewBreaker, OverviewView, Range, time};

/// Messages that are counted: some hundred thousand would take seconds.
const MESSAGES_MAX: u64 = 20_000;

/// The overview of a range that ends now.
pub(crate) async fn overview(
    state: &ApiState,
    subaccount: &SubaccountId,
    range: Range,
) -> Result<OverviewView, Problem> {
    let now = state.clock.now();
    let all = state.store.connections(subaccount, None).await?;
    let connections: Vec<Connection> = all.into_iter().filter(is_live).collect();
    let ids = ids(&connections);
    let mut messages = state.store.glance(&ids, range.since(now), MESSAGES_MAX + 1).await?;
    let most = usize::try_from(MESSAGES_MAX).unwrap_or(usize::MAX);
    let is_complete = messages.len() <= most;
    messages.truncate(most);
    let backlog = state.store.backlog(&ids).await?;
    let waiting_since = state.store.waiting_since(&ids).await?;
    let states = state.store.breaker_states().await?;
    let has_own_key = state.store.provider_key(subaccount).await?.is_some();
    Ok(OverviewView::of(Observed {
        range,
        now,
        messages: &messages,
        is_complete,
        connections: &connections,
        backlog: (backlog.turns, backlog.outboxes),
        waiting_since,
        breakers: open(&states, (subaccount, has_own_key), (&connections, now)),
    }))
}

/// What is not called now for these connections.
fn open(
    states: &[BreakerState],
    (subaccount, has_own_key): (&SubaccountId, bool),
    (connections, now): (&[Connection], Millis),
) -> Vec<OverviewBreaker> {
    let provider = Provider::of(subaccount, has_own_key);
    let mut keys: Vec<(BreakerKey, &'static str, Option<String>)> = Vec::new();
    for connection in connections {
        let [agent, service] = BreakerKey::of_agent(&provider, &connection.agent);
        let account = BreakerKey::GraphAccount(connection.account.clone());
        let handle = connection.row.username.clone().unwrap_or_else(|| connection.account.to_string());
        keys.push((BreakerKey::GraphApp(connection.login), "instagram", None));
        keys.push((account, "instagram", Some(handle)));
        keys.push((service, "agent", None));
        keys.push((agent, "agent", Some(connection.agent.to_string())));
    }
    let mut seen = Vec::new();
    let mut open = Vec::new();
    for (key, service, of) in keys {
        let key = key.to_string();
        let state = states.iter().find(|state| state.key == key && state.closed_until > now);
        let Some(until) = state.and_then(|state| time(state.closed_until)) else { continue };
        if !seen.contains(&key) {
            seen.push(key);
            open.push(OverviewBreaker { service, of, until });
        }
    }
    open
}
