//! `GET …/messages`: the message history, newest first.

use super::{all, ids, listed, paging};
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{ChatId, InstagramUserId, MessageId};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_store::entity::{chat, message};
use dmrelay_store::{Connection, MessageFilter};
use dmrelay_views::{ChatView, List, MessageView, enums};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only this account.
    connection_id: Option<Uuid>,
    /// Only this Instagram user.
    #[param(pattern = "^[0-9]{1,32}$")]
    instagram_user_id: Option<String>,
    chat_id: Option<Uuid>,
    #[param(schema_with = enums::direction)]
    direction: Option<String>,
    #[param(schema_with = enums::message_status)]
    status: Option<String>,
    #[param(schema_with = enums::author)]
    author: Option<String>,
    /// Search text. One call searches at most the newest 100,000 messages; continue with `nextCursor`.
    #[param(min_length = 1, max_length = 200)]
    q: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Older than the message with this `messageId`.
    before: Option<Uuid>,
    /// Cursor: the `nextCursor` of the previous page. Stable while new messages arrive.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists messages, newest first
#[utoipa::path(get, path = "/messages", tag = "History", operation_id = "listMessages", params(Query),
    responses((status = 200, description = "A page of messages", body = List<MessageView>)))]
pub(super) async fn messages(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<MessageView>>, Problem> {
    let named = query.connection_id;
    let filter = MessageFilter {
        search_most: state.options.limits.search_most,
        search_time: state.options.limits.search_timeout,
        ..filter(query)?
    };
    let filter = MessageFilter { connections: listed(&state, &scope, named).await?, ..filter };
    let page = state.store.messages(&filter).await;
    let page = page.map_err(|err| paging::search_problem(filter.is_search(), err))?;
    Ok(Json(List::of(page, (filter.limit, filter.skip), MessageView::of, paging::write_id)))
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneQuery {
    /// `chat`: with the chat of the message.
    #[param(schema_with = expandable)]
    expand: Option<String>,
}

fn expandable() -> ObjectBuilder {
    enums::one_of([CHAT].into_iter())
}

const CHAT: &str = "chat";

/// A message, with its chat if the call asks for it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageInChat {
    #[serde(flatten)]
    message: MessageView,
    /// With `expand=chat`, otherwise null.
    chat: Option<ChatView>,
}

/// Gets a message
#[utoipa::path(get, path = "/messages/{messageId}", tag = "History", operation_id = "getMessage", params(OneQuery),
    responses((status = 200, description = "The message", body = MessageInChat)))]
pub(super) async fn message(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MessageId>,
    Params(query): Params<OneQuery>,
) -> Result<Json<MessageInChat>, Problem> {
    let mut errors = ValidationErrors::default();
    let expand = paging::word("expand", query.expand, [CHAT].into_iter(), &mut errors);
    errors.end()?;
    let (_, chat, row) = find(&state, &scope, id).await?;
    let message = MessageView::of_user(&row, &chat.instagram_user_id);
    let chat = match expand {
        Some(_) => Some(services::chats::view(&state, &scope.actor, &chat).await?),
        None => None,
    };
    Ok(Json(MessageInChat { message, chat }))
}

/// A message of the scope, with its chat and its connection.
pub(super) async fn find(
    state: &ApiState,
    scope: &Scope,
    id: MessageId,
) -> Result<(Connection, chat::Model, message::Model), Problem> {
    let missing = || Problem::not_found("this agent has no message with that messageId");
    // What is left of a reaction to a message that has not come is no message.
    let row = state.store.message(id).await?.filter(|row| row.kind != "stub").ok_or_else(missing)?;
    let connections = all(state, scope).await?;
    let chat = state.store.chat_of(&ids(&connections), row.chat_id).await?.ok_or_else(missing)?;
    let connection = connections.into_iter().find(|one| one.id == chat.connection_id).ok_or_else(missing)?;
    Ok((connection, chat, row))
}

fn filter(query: Query) -> Result<MessageFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    if let Some(Err(err)) = query.instagram_user_id.as_deref().map(InstagramUserId::parse) {
        errors.parameter("instagramUserId", err.why);
    }
    let cursor = paging::read_id(query.cursor.as_deref(), &mut errors);
    if query.before.is_some() && query.cursor.is_some() {
        errors.parameter("before", "cannot be combined with cursor");
    }
    let filter = MessageFilter {
        user: query.instagram_user_id,
        chat: query.chat_id.map(ChatId),
        direction: paging::word(
            "direction",
            query.direction,
            Direction::ALL.iter().map(|word| word.as_str()),
            &mut errors,
        ),
        status: paging::word(
            "status",
            query.status,
            MessageStatus::ALL.iter().map(|word| word.as_str()),
            &mut errors,
        ),
        author: paging::word(
            "author",
            query.author,
            Author::ALL.iter().map(|word| word.as_str()),
            &mut errors,
        ),
        q: paging::text("q", query.q, &mut errors),
        since: paging::moment("since", query.since.as_deref(), &mut errors),
        until: paging::moment("until", query.until.as_deref(), &mut errors),
        before: query.before.map(MessageId).or(cursor),
        limit,
        skip,
        ..MessageFilter::default()
    };
    errors.end()?;
    Ok(filter)
}
