//! `…/messages/{messageId}/reaction`: the account reacts to what was said.

use super::messages;
use crate::access::Scope;
use crate::extract::{Body, Id};
use crate::problem::Problem;
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::MessageId;
use dmrelay_views::MessageView;
use serde::Deserialize;
use utoipa::ToSchema;

/// A reaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reaction {
    /// An emoji, or a word of Meta's: `love`, `like`, `laugh`, `wow`, `sad`, `angry`.
    #[schema(min_length = 1, max_length = 64, example = "❤")]
    reaction: String,
}

/// Reacts to a message
///
/// Instead of an earlier reaction of the account. The agent goes on answering. Meta sends no echo of it: the message shows it as
/// `metadata.ourReaction`.
#[utoipa::path(post, path = "/messages/{messageId}/reaction", tag = "Takeover", operation_id = "reactToMessage",
    request_body = Reaction,
    responses(
        (status = 200, description = "The message", body = MessageView),
        (status = 409, description = "The account cannot send now"),
        (status = 422, description = "The reaction is not valid, Instagram does not have the message, or Meta refuses it"),
    ))]
pub(super) async fn react(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MessageId>,
    Body(request): Body<Reaction>,
) -> Result<Json<MessageView>, Problem> {
    set(&state, &scope, id, Some(request.reaction)).await
}

/// Takes a reaction to a message back
#[utoipa::path(delete, path = "/messages/{messageId}/reaction", tag = "Takeover", operation_id = "takeReactionBack",
    responses(
        (status = 200, description = "The message", body = MessageView),
        (status = 409, description = "The account cannot send now"),
        (status = 422, description = "Instagram does not have the message, or Meta refuses it"),
    ))]
pub(super) async fn take_back(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MessageId>,
) -> Result<Json<MessageView>, Problem> {
    set(&state, &scope, id, None).await
}

async fn set(
    state: &ApiState,
    scope: &Scope,
    id: MessageId,
    reaction: Option<String>,
) -> Result<Json<MessageView>, Problem> {
    let (connection, chat, row) = messages::find(state, scope, id).await?;
    let by = &scope.actor;
    let row = services::reactions::react(state, &connection, (&chat, &row), reaction, by).await?;
    Ok(Json(MessageView::of_user(&row, &chat.instagram_user_id)))
}
