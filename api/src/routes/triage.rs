//! `PATCH …/chats/{chatId}` and `…/notes`: what people decide about a chat, for one another.

use super::paging;
use super::takeover::with_connection;
use crate::access::Scope;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services::triage::{self, assignee, checked_tags, checked_time};
use crate::settings::Change;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, NoteId};
use dmrelay_store::Triage;
use dmrelay_views::{ChatView, List, NoteView, enums};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// What to change; what is omitted stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangeChat {
    /// Who looks after the chat: any name or id by which your frontend knows people, or `me` for the caller: the subject of their
    /// session or token, or the id of the key. Null for nobody.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200, example = "ada@example.com")]
    #[serde(default)]
    assignee: Change<String>,
    /// All tags of the chat, at most 20 of 50 bytes.
    #[schema(schema_with = enums::tags)]
    tags: Option<Vec<String>>,
    /// The customer's language, as a tag of BCP 47: audiences of broadcasts may ask for it. Null if it is not known.
    #[schema(value_type = Option<String>, min_length = 2, max_length = 35, pattern = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example = "de")]
    #[serde(default)]
    language: Change<String>,
    /// Until when the chat is hidden from all folders but `snoozed`; a message ends it sooner. Null ends it now.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default)]
    snoozed_until: Change<String>,
}

/// A note to write.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WriteNote {
    /// The note, at most 4,000 bytes.
    #[schema(
        min_length = 1,
        max_length = 4_000,
        example = "Wants a refund for order 1042; asked for the receipt."
    )]
    text: String,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Assigns, tags or snoozes a chat
///
/// For the people who work with the inbox: nothing of it reaches the customer or the agent. Omitted fields stay as they are.
#[utoipa::path(patch, path = "/chats/{chatId}", tag = "History", operation_id = "changeChat", request_body = ChangeChat,
    responses((status = 200, description = "The chat as it is now", body = ChatView)))]
pub(super) async fn change(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<ChatId>,
    Body(request): Body<ChangeChat>,
) -> Result<Json<ChatView>, Problem> {
    let now = state.clock.now();
    let mut errors = ValidationErrors::default();
    let assignee = request.assignee.map(|who| assignee(who, &scope.actor, &mut errors));
    let tags = request.tags.map(|tags| checked_tags(tags.iter().map(String::as_str), &mut errors));
    let snoozed_until = request
        .snoozed_until
        .map(|text| errors.check("/snoozedUntil", checked_time(&text, now)).unwrap_or(Millis::MAX));
    let language = request
        .language
        .map(|tag| errors.check("/language", triage::checked_language(&tag)).unwrap_or_default());
    errors.end()?;
    let (connection, row) = with_connection(&state, &scope, id).await?;
    let change = move |triage: &mut Triage| {
        assignee.apply(&mut triage.assignee);
        language.apply(&mut triage.language);
        match snoozed_until {
            Change::Stays => {}
            Change::Back => triage.snooze(None),
            Change::Becomes(until) => triage.snooze(Some(until)),
        }
        if let Some(tags) = tags {
            triage.tags = tags;
        }
    };
    Ok(Json(triage::change(&state, (&connection, &row), &scope.actor, change).await?))
}

/// Lists the notes about a chat, newest first
#[utoipa::path(get, path = "/chats/{chatId}/notes", tag = "History", operation_id = "listChatNotes", params(Query),
    responses((status = 200, description = "A page of notes", body = List<NoteView>)))]
pub(super) async fn notes(
    State(state): State<ApiState>,
    scope: Scope,
    Path((_, _, id)): Path<(String, String, String)>,
    Params(query): Params<Query>,
) -> Result<Json<List<NoteView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    let id: Option<ChatId> = errors.check_parameter("chatId", id.parse().map_err(|_| "must be a UUID"));
    errors.end()?;
    let row = super::chat::find(&state, &scope, id.unwrap_or_default()).await?;
    let page = state.store.notes(row.id, (before, limit, skip)).await?;
    Ok(Json(List::of(page, (limit, skip), NoteView::of, paging::write_id)))
}

/// Writes a note about a chat
///
/// For the people who work with the inbox; the customer never sees it.
#[utoipa::path(post, path = "/chats/{chatId}/notes", tag = "History", operation_id = "addChatNote", request_body = WriteNote,
    responses((status = 201, description = "The note", body = NoteView)))]
pub(super) async fn add_note(
    State(state): State<ApiState>,
    scope: Scope,
    Path((_, _, id)): Path<(String, String, String)>,
    Body(request): Body<WriteNote>,
) -> Result<(StatusCode, Json<NoteView>), Problem> {
    let (connection, row) = with_connection(&state, &scope, chat_id(&id)?).await?;
    let note = triage::add_note(&state, (&connection, row.id), &scope.actor, &request.text).await?;
    Ok((StatusCode::CREATED, Json(NoteView::of(&note))))
}

/// Deletes a note about a chat
#[utoipa::path(delete, path = "/chats/{chatId}/notes/{noteId}", tag = "History", operation_id = "deleteChatNote",
    responses((status = 204, description = "The note is deleted")))]
pub(super) async fn delete_note(
    State(state): State<ApiState>,
    scope: Scope,
    Path((_, _, id, note)): Path<(String, String, String, String)>,
) -> Result<StatusCode, Problem> {
    let note: NoteId = note.parse().map_err(|_| Problem::parameter("noteId", "must be a UUID"))?;
    let (connection, row) = with_connection(&state, &scope, chat_id(&id)?).await?;
    triage::delete_note(&state, (&connection, row.id), &scope.actor, note).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn chat_id(text: &str) -> Result<ChatId, Problem> {
    text.parse().map_err(|_| Problem::parameter("chatId", "must be a UUID"))
}
