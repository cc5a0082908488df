//! `DELETE …/users/{instagramUserId}`: forgets a customer.

use super::all;
use crate::access::Scope;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_store::AGENT_CALLS_SETTLED;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// What was erased of a customer.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Erased)]
pub(super) struct ErasedView {
    /// The customer, now without a trace.
    instagram_user_id: String,
    /// Messages, received and sent.
    messages: u64,
    /// Questions to the agent.
    turns: u64,
    dead_letters: u64,
    /// Events that waited in the inbox.
    events: u64,
    /// Chats that are deleted at the agent's provider within minutes.
    agent_chats: u64,
}

/// Erases a customer
///
/// Deletes their messages, conversation, questions to the agent, events and dead letters, in all accounts of this agent, and the
/// chats at the agent's provider; what names them in processed events and in activities, within minutes. Activities stay without naming them. Late deliveries of what they wrote before are dropped; if
/// they write again, a new conversation begins. Repeating the call is harmless.
#[utoipa::path(delete, path = "/users/{instagramUserId}", tag = "Privacy", operation_id = "eraseUser",
    responses((status = 200, description = "What was erased", body = ErasedView)))]
pub(super) async fn erase_user(
    State(state): State<ApiState>,
    scope: Scope,
    Path(path): Path<HashMap<String, String>>,
) -> Result<Json<ErasedView>, Problem> {
    let user = path.get("instagramUserId").map(String::as_str).unwrap_or_default();
    let user = InstagramUserId::parse(user).map_err(|err| Problem::parameter("instagramUserId", err.why))?;
    let connections = all(&state, &scope).await?;
    if connections.is_empty() {
        let title = "No Instagram account is connected to this agent";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-connected", title));
    }
    let mut view = ErasedView { instagram_user_id: user.to_string(), ..ErasedView::default() };
    for connection in &connections {
        let erased = state.store.erase_user(connection, &user, &scope.actor, AGENT_CALLS_SETTLED).await?;
        view.messages += erased.messages;
        view.turns += erased.turns;
        view.dead_letters += erased.dead_letters;
        view.events += erased.events;
        view.agent_chats += erased.agent_chats;
    }
    Ok(Json(view))
}
