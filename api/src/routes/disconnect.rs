//! `POST …/disconnect`: unsubscribes the account's webhooks and deletes its token. While Meta is unreachable,
//! the connection is `disconnecting` and the workers keep retrying.

use super::select;
use crate::access::Scope;
use crate::extract::MaybeBody;
use crate::problem::Problem;
use crate::services::{self, connections::Disconnecting};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_runtime::settings::AgentBinding;
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
    let wanted = Disconnecting { actor: &scope.actor, release_agent: request.release_agent };
    let ended = services::connections::disconnect(&state, &connection, wanted).await?;
    let connection = ConnectionView::of(&ended.connection, Some(state.options.defaults));
    let status = if ended.is_over { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Disconnected { connection, agent_released: ended.agent_released })))
}
