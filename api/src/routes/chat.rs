//! `GET …/chats/{chatId}`: one chat with its messages and timeline.

use super::{all, ids, paging};
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::ChatId;
use dmrelay_store::entity::chat;
use dmrelay_views::{ChatCounts, ChatView, List, MessageView, TimelineEntry, TurnView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Cursor: the `nextCursor` of the previous page of messages.
    #[param(max_length = 64)]
    cursor: Option<String>,
    /// Number of messages.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// A chat with a page of its messages and the timeline around them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChatDetail {
    chat: ChatView,
    counts: ChatCounts,
    /// Newest first.
    messages: List<MessageView>,
    /// The turns these messages belong to.
    turns: Vec<TurnView>,
    /// The timeline of these messages, oldest first.
    timeline: Vec<TimelineEntry>,
}

/// Gets a chat with a page of its messages and their timeline
#[utoipa::path(get, path = "/chats/{chatId}", tag = "History", operation_id = "getChat", params(Query),
    responses((status = 200, description = "The chat", body = ChatDetail)))]
pub(super) async fn chat(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
    Params(query): Params<Query>,
) -> Result<Json<ChatDetail>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let row = find(&state, &scope, id).await?;
    let thread = services::thread::page(&state, &row, (before, limit, skip)).await?;
    Ok(Json(ChatDetail {
        chat: services::chats::view(&state, &scope.actor, &row).await?,
        counts: state.store.chat_counts(row.id).await?.into(),
        turns: thread.turns.iter().map(TurnView::of).collect(),
        timeline: dmrelay_views::timeline(&thread.rows(), &thread.turns, &thread.modes),
        messages: List::of(thread.messages, (limit, skip), MessageView::of, paging::write_id),
    }))
}

/// Finds a chat of the agent.
pub(super) async fn find(state: &ApiState, scope: &Scope, id: ChatId) -> Result<chat::Model, Problem> {
    let connections = ids(&all(state, scope).await?);
    let row = state.store.chat_of(&connections, id).await?;
    row.ok_or_else(|| Problem::not_found("this agent has no chat with that chatId"))
}
