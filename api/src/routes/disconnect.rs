//! `POST …/disconnect`: unsubscribes the account's webhooks and deletes its token. While Meta is unreachable,
//! the connection is `disconnecting` and the workers keep retrying.

use super::select;
use crate::access::Scope;
use crate::extract::MaybeBody;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_runtime::settings::AgentBinding;
use dmrelay_store::{Activity, ActivityKind, Connection, Released};
use dmrelay_views::ConnectionView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A request to disconnect an account.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Disconnect {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
    /// Release the agent, if this was its last account: it belongs to nobody then. Only where agents are bound by their first
    /// connect, or proven by a key of the subaccount's own.
    #[serde(default)]
    release_agent: bool,
}

/// A connection that is disconnected, or about to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disconnected {
    #[serde(flatten)]
    connection: ConnectionView,
    /// Whether the agent belongs to nobody any more, as asked for by `releaseAgent`.
    agent_released: bool,
}

/// Disconnects an Instagram account
///
/// Unsubscribes the webhooks and deletes the token. The history stays.
#[utoipa::path(post, path = "/disconnect", tag = "Connection", operation_id = "disconnect",
    request_body = Option<Disconnect>,
    responses(
        (status = 200, description = "The account is disconnected", body = Disconnected),
        (status = 202, description = "Not finished yet: the workers keep retrying", body = Disconnected),
        (status = 409, description = "The agent has several accounts"),
    ))]
pub(super) async fn disconnect(
    State(state): State<ApiState>,
    scope: Scope,
    MaybeBody(request): MaybeBody<Disconnect>,
) -> Result<(StatusCode, Json<Disconnected>), Problem> {
    let request = request.unwrap_or_default();
    let is_assigned = state.options.api.agent_binding == AgentBinding::Assigned;
    let is_assigned = is_assigned && state.store.provider_key(&scope.subaccount).await?.is_none();
    if request.release_agent && is_assigned {
        return Err(Problem::invalid("/releaseAgent", "agents are assigned and released by the operator"));
    }
    let connection = select(&state, &scope, request.connection_id).await?;
    if connection.status == ConnectionStatus::Disconnected {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-connected", "The account is not connected"));
    }
    let reached = unsubscribe(&state, &connection).await;
    let tx = state.store.begin().await?;
    if request.release_agent {
        // First, as a connect does, which goes on to the connection from there.
        tx.lock_agent(&scope.agent).await?;
    }
    // A token renewed meanwhile may have subscribed the webhooks again: the workers unsubscribe them with it.
    let ended = reached && tx.mark_disconnected(&connection, "by request").await?;
    if !ended {
        let why = if reached {
            "its token was renewed meanwhile"
        } else {
            "Meta is unreachable, the webhooks are still subscribed"
        };
        tx.mark_disconnecting(connection.id, why).await?;
    }
    let activity = Activity::of_connection(&connection, ActivityKind::Disconnected, &scope.actor)
        .with("instagramAccountId", connection.account.as_str());
    tx.record(&activity).await?;
    let mut agent_released = false;
    if request.release_agent {
        // It stays while it answers for others.
        let released = tx.release_agent(&scope.agent, Some(&scope.subaccount), &scope.actor).await?;
        agent_released = matches!(released, Released::From(_));
    }
    tx.commit().await?;
    state.snapshots.refresh().await?;
    tracing::info!(connection = %connection.id, ended, "disconnected");
    let fresh = state.store.connection_by_id(connection.id).await?;
    let fresh = fresh.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    let status = if ended { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Disconnected { connection: ConnectionView::of(&fresh), agent_released })))
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
