//! `PATCH …/chats/{chatId}` and `…/notes`: what people decide about a chat, for one another.

use super::paging;
use super::takeover::with_connection;
use crate::access::Scope;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services;
use crate::settings::Change;
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::api_key::is_name;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, NoteId};
use dmrelay_domain::text::is_printable;
use dmrelay_store::Triage;
use dmrelay_views::{ChatView, List, NoteView};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// Maximum number of tags of a chat, and maximum length of a tag in bytes.
const TAGS_MAX: usize = 20;
const TAG_BYTES_MAX: usize = 50;

/// Maximum length of a note, in bytes.
const NOTE_BYTES_MAX: usize = 4_000;

/// The word by which callers name themselves, and the one for those that nobody looks after.
pub(super) const ME: &str = "me";
pub(super) const NOBODY: &str = "none";

/// Maximum length of the name of who looks after a chat, in bytes.
const ASSIGNEE_BYTES_MAX: usize = 200;

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
    #[schema(max_items = 20, example = json!(["vip", "returns"]))]
    tags: Option<Vec<String>>,
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
    let assignee = request.assignee.map(|who| checked_name(who, &scope.actor, &mut errors));
    let tags = request.tags.map(|tags| checked_tags(&tags, &mut errors));
    let snoozed_until = request.snoozed_until.map(|text| checked_time(&text, now, &mut errors));
    errors.end()?;
    let (connection, row) = with_connection(&state, &scope, id).await?;
    let change = move |triage: &mut Triage| {
        assignee.apply(&mut triage.assignee);
        match snoozed_until {
            Change::Stays => {}
            Change::Back => triage.snooze(None),
            Change::Becomes(until) => triage.snooze(Some(until)),
        }
        if let Some(tags) = tags {
            triage.tags = tags;
        }
    };
    let changed = state.store.change_triage(&connection, row.id, &scope.actor, change).await?;
    changed.ok_or_else(|| Problem::not_found("the chat is gone"))?;
    Ok(Json(services::chats::view(&state, &scope.actor, &row).await?))
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
    let text = dmrelay_domain::text::clean(request.text.trim()).into_owned();
    if text.is_empty() || text.len() > NOTE_BYTES_MAX {
        return Err(Problem::invalid("/text", format!("must be 1 to {NOTE_BYTES_MAX} bytes")));
    }
    let (connection, row) = with_connection(&state, &scope, chat_id(&id)?).await?;
    let note = state.store.add_note(&connection, row.id, &text, &scope.actor).await?;
    let note = note.ok_or_else(|| Problem::not_found("the chat is gone"))?;
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
    if !state.store.delete_note(&connection, row.id, note, &scope.actor).await? {
        return Err(Problem::not_found("this chat has no note with that noteId"));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn chat_id(text: &str) -> Result<ChatId, Problem> {
    text.parse().map_err(|_| Problem::parameter("chatId", "must be a UUID"))
}

fn checked_name(who: String, me: &Actor, errors: &mut ValidationErrors) -> String {
    let is_printable = !who.trim().is_empty() && who.chars().all(is_printable);
    if !is_printable || who.len() > ASSIGNEE_BYTES_MAX || who == NOBODY {
        let what =
            format!("must be 1 to {ASSIGNEE_BYTES_MAX} bytes of printable text, not {NOBODY:?}, or null");
        errors.at("/assignee", what);
    }
    if who == ME { person(me).to_owned() } else { who }
}

/// The caller, as colleagues name them: the subject of a session or a token, otherwise the id of a key.
pub(crate) fn person(actor: &Actor) -> &str {
    let key = actor.key();
    let of_session = key.strip_prefix("session:").and_then(|rest| rest.split_once(':'));
    of_session.map(|(_, subject)| subject).or_else(|| key.strip_prefix("jwt:")).unwrap_or(key)
}

fn checked_tags(tags: &[String], errors: &mut ValidationErrors) -> BTreeSet<String> {
    if tags.len() > TAGS_MAX {
        errors.at("/tags", format!("must be at most {TAGS_MAX}"));
    }
    let mut checked = BTreeSet::new();
    for (n, tag) in tags.iter().enumerate().take(TAGS_MAX) {
        let tag = tag.trim();
        if !is_tag(tag) {
            errors.at(&format!("/tags/{n}"), format!("must be 1 to {TAG_BYTES_MAX} bytes of printable text"));
        }
        checked.insert(tag.to_owned());
    }
    checked
}

/// Whether the text is a tag.
pub(super) fn is_tag(text: &str) -> bool {
    is_name(text) && text.len() <= TAG_BYTES_MAX
}

fn checked_time(text: &str, now: Millis, errors: &mut ValidationErrors) -> Millis {
    let at = errors.check("/snoozedUntil", dmrelay_views::parse_time(text)).unwrap_or(Millis::MAX);
    if at <= now {
        errors.at("/snoozedUntil", "must be in the future, or null");
    }
    at
}
