//! Connections: checked, and ended.

use crate::access::Scope;
use crate::connect::{Right, check_agent, not_assigned};
use crate::health;
use crate::problem::Problem;
use crate::routes::is_live;
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::AgentId;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_store::{Activity, ActivityKind, AgentChanged, Connection, Released};

/// Who ends a connection, and whether its agent is given back.
pub(crate) struct Disconnecting<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) release_agent: bool,
}

/// A connection that has ended, or ends when Meta can be reached.
pub(crate) struct Disconnected {
    pub(crate) connection: Connection,
    /// Whether the webhooks have ended.
    pub(crate) is_over: bool,
    pub(crate) agent_released: bool,
}

/// Ends a connection: unsubscribes the webhooks, and deletes the token.
///
/// # Errors
/// 404 if it has ended.
pub(crate) async fn disconnect(
    state: &ApiState,
    connection: &Connection,
    wanted: Disconnecting<'_>,
) -> Result<Disconnected, Problem> {
    if connection.status == ConnectionStatus::Disconnected {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-connected", "The account is not connected"));
    }
    let reached = unsubscribe(state, connection).await;
    let tx = state.store.begin().await?;
    if wanted.release_agent {
        // First, as a connect does, which goes on to the connection from there.
        tx.lock_agent(&connection.agent).await?;
    }
    // A token renewed meanwhile may have subscribed the webhooks again: the workers unsubscribe them with it.
    let ended = reached && tx.mark_disconnected(connection, "by request").await?;
    if !ended {
        let why = if reached {
            "its token was renewed meanwhile"
        } else {
            "Meta is unreachable, the webhooks are still subscribed"
        };
        tx.mark_disconnecting(connection.id, why).await?;
    }
    let activity = Activity::of_connection(connection, ActivityKind::Disconnected, wanted.actor)
        .with("instagramAccountId", connection.account.as_str());
    tx.record(&activity).await?;
    let mut agent_released = false;
    if wanted.release_agent {
        // It stays while it answers for others.
        let released =
            tx.release_agent(&connection.agent, Some(&connection.subaccount), wanted.actor).await?;
        agent_released = matches!(released, Released::From(_));
    }
    tx.commit().await?;
    state.snapshots.refresh().await?;
    tracing::info!(connection = %connection.id, ended, "disconnected");
    let fresh = state.store.connection_by_id(connection.id).await?;
    let connection = fresh.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    Ok(Disconnected { connection, is_over: ended, agent_released })
}

/// Gives an account to another agent of the subaccount. `scope` is the caller's, with the agent that has the account now.
///
/// # Errors
/// 409 if it is not connected; 403 or 409 if the agent is not the subaccount's.
pub(crate) async fn change_agent(
    state: &ApiState,
    scope: &Scope,
    connection: &Connection,
    agent: &AgentId,
) -> Result<Connection, Problem> {
    if !is_live(connection) {
        return Err(not_connected(connection));
    }
    // Whether the caller's token names the other agent is not known here.
    let other = Scope { agent: agent.clone(), may_bind: false, ..scope.clone() };
    let right = check_agent(state, &other).await?;
    match state.store.change_agent(connection.id, (agent, right == Right::Proven), &scope.actor).await? {
        AgentChanged::Now(connection) => {
            state.snapshots.refresh().await?;
            tracing::info!(connection = %connection.id, from = %scope.agent, to = %agent, "another agent answers for an account");
            Ok(*connection)
        }
        AgentChanged::NotAssigned => Err(not_assigned()),
        AgentChanged::Gone => Err(Problem::not_found("the connection is gone")),
    }
}

pub(crate) fn not_connected(connection: &Connection) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not-connected", "The account is not connected")
        .with("connectionStatus", connection.status.as_str())
}

/// Looks at Meta, and at what has come, whether the account works.
///
/// # Errors
/// 409 if it is not connected.
pub(crate) async fn check(state: &ApiState, connection: &Connection) -> Result<(), Problem> {
    if !is_live(connection) {
        return Err(not_connected(connection));
    }
    Ok(Box::pin(health::check(state, connection)).await?)
}

/// Whether the webhooks have ended, or this token can no longer unsubscribe them.
async fn unsubscribe(state: &ApiState, connection: &Connection) -> bool {
    let Ok(access) = dmrelay_app::access(&state.vault, connection) else { return true };
    match state.graph.unsubscribe(&access).await {
        Ok(()) => true,
        Err(err) => {
            // Without the proof of the app's secret nothing is known of the token.
            let is_final = !matches!(
                err.class,
                FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled
            );
            is_final && !err.is_about_proof()
        }
    }
}
