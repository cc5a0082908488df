//! `POST …/transfer`: gives an account to another agent of the subaccount.

use super::select;
use crate::access::Scope;
use crate::extract::Body;
use crate::problem::{Problem, ValidationErrors};
use crate::services::connections;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::AgentId;
use dmrelay_views::ConnectionView;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Which agent answers from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Transfer {
    /// The agent, as Retell names it.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,128}$", example = "agent_acme_two")]
    to_agent_id: String,
    /// Required if the agent has several accounts.
    connection_id: Option<Uuid>,
}

/// Gives an account to another agent of the subaccount
///
/// Without connecting it anew. Its history stays; a conversation under way goes on in a chat with the other agent, which is told what was said.
/// From then on the account is found under the path of that agent.
#[utoipa::path(post, path = "/transfer", tag = "Connection", operation_id = "transfer", request_body = Transfer,
    responses(
        (status = 200, description = "The connection, which belongs to the other agent now", body = ConnectionView),
        (status = 403, description = "The caller lacks the permission, or the agent is not assigned to the subaccount"),
        (status = 409, description = "The agent has several accounts, or none that is connected"),
    ))]
pub(super) async fn transfer(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<Transfer>,
) -> Result<Json<ConnectionView>, Problem> {
    let mut errors = ValidationErrors::default();
    let agent = errors.check("/toAgentId", AgentId::parse(&request.to_agent_id).map_err(|err| err.why));
    errors.end()?;
    let agent = agent.ok_or_else(|| Problem::invalid("/toAgentId", "is not valid"))?;
    let connection = select(&state, &scope, request.connection_id).await?;
    let moved = connections::change_agent(&state, &scope, &connection, &agent).await?;
    Ok(Json(ConnectionView::of(&moved, Some(state.options.defaults))))
}
