//! `POST …/chats/{chatId}/takeover` and `/release`: who answers in a chat.

use super::chat::find;
use crate::access::Scope;
use crate::extract::{Id, MaybeBody};
use crate::problem::Problem;
use crate::services;
use crate::services::takeover::For;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::ChatId;
use dmrelay_store::Connection;
use dmrelay_store::entity::chat;
use dmrelay_views::ChatView;
use serde::Deserialize;
use utoipa::ToSchema;

/// A request to take over a chat.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TakeOver {
    /// Hours until the agent resumes on its own; default: the connection's `takeoverHours`.
    #[schema(minimum = 1, maximum = 720)]
    hours: Option<u32>,
    /// Whether the agent stays silent until the chat is released, instead of resuming on its own.
    #[serde(default)]
    until_released: bool,
}

/// No fields.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {}

/// Takes over a chat from the agent
///
/// The agent falls silent: its unsent messages and any answer in progress are not sent.
#[utoipa::path(post, path = "/chats/{chatId}/takeover", tag = "Takeover", operation_id = "takeOverChat",
    request_body = Option<TakeOver>,
    responses((status = 200, description = "The chat, in mode human", body = ChatView)))]
pub(super) async fn take_over(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
    MaybeBody(request): MaybeBody<TakeOver>,
) -> Result<Json<ChatView>, Problem> {
    let TakeOver { hours, until_released } = request.unwrap_or_default();
    let asked = For::asked(hours, until_released);
    let (connection, chat) = with_connection(&state, &scope, id).await?;
    let taken = services::takeover::take_over(&state, &connection, chat.id, &scope.actor, asked).await?;
    Ok(Json(services::chats::view(&state, &scope.actor, &taken).await?))
}

/// Returns a chat to the agent
///
/// The agent answers what the user wrote since a human agent last wrote.
#[utoipa::path(post, path = "/chats/{chatId}/release", tag = "Takeover", operation_id = "releaseChat",
    request_body = Option<Release>,
    responses((status = 200, description = "The chat, in mode bot", body = ChatView)))]
pub(super) async fn release(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
    MaybeBody(_): MaybeBody<Release>,
) -> Result<Json<ChatView>, Problem> {
    let (connection, chat) = with_connection(&state, &scope, id).await?;
    let released = services::takeover::release(&state, &connection, chat.id, &scope.actor).await?;
    Ok(Json(services::chats::view(&state, &scope.actor, &released).await?))
}

pub(super) async fn with_connection(
    state: &ApiState,
    scope: &Scope,
    id: ChatId,
) -> Result<(Connection, chat::Model), Problem> {
    let chat = find(state, scope, id).await?;
    let connection = state.store.connection_by_id(chat.connection_id).await?;
    let connection = connection.ok_or_else(|| Problem::not_found("the chat's connection is gone"))?;
    Ok((connection, chat))
}
