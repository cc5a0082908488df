//! `POST …/chats/{chatId}/read`: up to where the caller has read a chat.

use super::chat::find;
use crate::access::{Scope, Tenant};
use crate::extract::{Id, MaybeBody};
use crate::problem::Problem;
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{ChatId, MessageId};
use dmrelay_domain::permission::Permission;
use dmrelay_views::ChatView;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Up to where.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MarkRead {
    /// Up to this message; all that is there if omitted.
    message_id: Option<Uuid>,
}

/// Marks a chat as read by the caller
///
/// Each API key and each subject of a token has a read state of its own. What was read stays read. In a chat that people answer, the
/// customer sees that it was seen, if the caller may send; unless the account shows no typing indicator either.
#[utoipa::path(post, path = "/chats/{chatId}/read", tag = "History", operation_id = "markChatRead",
    request_body = Option<MarkRead>,
    responses((status = 200, description = "The chat as the caller sees it now", body = ChatView)))]
pub(super) async fn read(
    State(state): State<ApiState>,
    scope: Scope,
    tenant: Tenant,
    Id(id): Id<ChatId>,
    MaybeBody(request): MaybeBody<MarkRead>,
) -> Result<Json<ChatView>, Problem> {
    let row = find(&state, &scope, id).await?;
    let up_to = request.unwrap_or_default().message_id.map(MessageId);
    let may_answer = tenant.role.may(Permission::Send);
    if !services::read::read(&state, &row, (&scope.actor, may_answer), up_to).await? {
        return Err(Problem::invalid("/messageId", "must be the id of a message of this chat"));
    }
    Ok(Json(services::chats::view(&state, &scope.actor, &row).await?))
}
