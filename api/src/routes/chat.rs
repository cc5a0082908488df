//! `GET …/chats/{chatId}`: one chat with its messages and timeline.

use super::{all, ids, paging};
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{ChatId, TurnId};
use dmrelay_store::MessageFilter;
use dmrelay_store::entity::{chat, message};
use dmrelay_views::{ChatCounts, ChatView, List, MessageView, TimelineEntry, TurnView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Maximum number of changes of who answers on a page.
const MODE_CHANGES_MAX: u64 = 100;

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
    let filter = MessageFilter {
        connections: vec![row.connection_id],
        chat: Some(row.id),
        before,
        limit,
        skip,
        ..MessageFilter::default()
    };
    let page = state.store.messages(&filter).await?;
    let rows: Vec<message::Model> = page.items.iter().map(|listed| listed.message.clone()).collect();
    let turn_ids: BTreeSet<TurnId> = rows.iter().filter_map(|row| row.turn_id).collect();
    let turns = state.store.turns_of_messages(row.id, &turn_ids.into_iter().collect::<Vec<_>>()).await?;
    let (since, until) = span(&rows, before.is_none());
    let modes = state.store.mode_changes(row.id, since, until, MODE_CHANGES_MAX).await?;
    Ok(Json(ChatDetail {
        chat: super::chats::view(&state, &scope.actor, &row).await?,
        counts: state.store.chat_counts(row.id).await?.into(),
        messages: List::of(page, (limit, skip), MessageView::of, paging::write_id),
        turns: turns.iter().map(TurnView::of).collect(),
        timeline: dmrelay_views::timeline(&rows, &turns, &modes),
    }))
}

/// The time range covered by a page of messages; the newest page extends to now.
fn span(rows: &[message::Model], newest: bool) -> (i64, i64) {
    let times = rows.iter().map(|row| row.created_at);
    let until = if newest { i64::MAX } else { times.clone().max().unwrap_or(0) + 1 };
    (times.min().unwrap_or(0), until)
}

/// Finds a chat of the agent.
pub(super) async fn find(state: &ApiState, scope: &Scope, id: ChatId) -> Result<chat::Model, Problem> {
    let connections = ids(&all(state, scope).await?);
    let row = state.store.chat_of(&connections, id).await?;
    row.ok_or_else(|| Problem::not_found("this agent has no chat with that chatId"))
}
