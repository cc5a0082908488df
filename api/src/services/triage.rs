//! What people decide about a chat, for one another: who looks after it, its tags, when it comes back, notes.

use crate::problem::{Problem, ValidationErrors};
use crate::services::chats;
use crate::state::ApiState;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::api_key::is_name;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, NoteId};
use dmrelay_domain::text::is_printable;
use dmrelay_store::entity::{chat, chat_note};
use dmrelay_store::{Connection, TAGS_MAX, Triage};
use dmrelay_views::ChatView;
use std::collections::BTreeSet;

/// Maximum length of a tag, in bytes.
const TAG_BYTES_MAX: usize = 50;

/// Maximum length of a note, in bytes.
const NOTE_BYTES_MAX: usize = 4_000;

/// Maximum length of the name of who looks after a chat, in bytes.
const ASSIGNEE_BYTES_MAX: usize = 200;

/// The word by which callers name themselves, and the one for those that nobody looks after.
pub(crate) const ME: &str = "me";
pub(crate) const NOBODY: &str = "none";

/// Changes what was decided about a chat.
///
/// # Errors
/// 404 if the chat is gone.
pub(crate) async fn change(
    state: &ApiState,
    (connection, row): (&Connection, &chat::Model),
    actor: &Actor,
    change: impl FnOnce(&mut Triage) + Send + 'static,
) -> Result<ChatView, Problem> {
    let changed = state.store.change_triage(connection, row.id, actor, change).await?;
    changed.ok_or_else(|| Problem::not_found("the chat is gone"))?;
    Ok(chats::view(state, actor, row).await?)
}

/// Writes a note.
///
/// # Errors
/// 422 if it says nothing or too much; 404 if the chat is gone.
pub(crate) async fn add_note(
    state: &ApiState,
    (connection, chat): (&Connection, ChatId),
    actor: &Actor,
    text: &str,
) -> Result<chat_note::Model, Problem> {
    let text = checked_note(text).map_err(|what| Problem::invalid("/text", what))?;
    let note = state.store.add_note(connection, chat, &text, actor).await?;
    note.ok_or_else(|| Problem::not_found("the chat is gone"))
}

/// The text of a note.
pub(crate) fn checked_note(text: &str) -> Result<String, String> {
    let text = dmrelay_domain::text::clean(text.trim()).into_owned();
    if text.is_empty() || text.len() > NOTE_BYTES_MAX {
        return Err(format!("must be 1 to {NOTE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// Deletes a note.
///
/// # Errors
/// 404 if there is none.
pub(crate) async fn delete_note(
    state: &ApiState,
    (connection, chat): (&Connection, ChatId),
    actor: &Actor,
    note: NoteId,
) -> Result<(), Problem> {
    if state.store.delete_note(connection, chat, note, actor).await? {
        Ok(())
    } else {
        Err(Problem::not_found("this chat has no note with that noteId"))
    }
}

/// Checks who is to look after a chat.
pub(crate) fn checked_assignee(who: &str) -> Result<(), String> {
    let is_printable = !who.trim().is_empty() && who.chars().all(is_printable);
    if !is_printable || who.len() > ASSIGNEE_BYTES_MAX || who == NOBODY {
        return Err(format!(
            "must be 1 to {ASSIGNEE_BYTES_MAX} bytes of printable text, not {NOBODY:?}, or null"
        ));
    }
    Ok(())
}

/// Who is to look after a chat; `me` is the caller.
pub(crate) fn assignee(who: String, me: &Actor, errors: &mut ValidationErrors) -> String {
    errors.check("/assignee", checked_assignee(&who));
    if who == ME { person(me).to_owned() } else { who }
}

/// Until when a chat is put aside.
pub(crate) fn checked_time(text: &str, now: Millis) -> Result<Millis, String> {
    let at = dmrelay_views::parse_time(text)?;
    if at <= now { Err("must be in the future, or null".to_owned()) } else { Ok(at) }
}

/// The caller, as colleagues name them: the subject of a session or a token, otherwise the id of a key.
pub(crate) fn person(actor: &Actor) -> &str {
    let key = actor.key();
    let of_session = key.strip_prefix("session:").and_then(|rest| rest.split_once(':'));
    of_session.map(|(_, subject)| subject).or_else(|| key.strip_prefix("jwt:")).unwrap_or(key)
}

/// All tags of a chat.
pub(crate) fn checked_tags<'a>(
    tags: impl ExactSizeIterator<Item = &'a str>,
    errors: &mut ValidationErrors,
) -> BTreeSet<String> {
    if tags.len() > TAGS_MAX {
        errors.at("/tags", format!("must be at most {TAGS_MAX}"));
    }
    let mut checked = BTreeSet::new();
    for (n, tag) in tags.enumerate().take(TAGS_MAX) {
        let tag = tag.trim();
        errors.check(&format!("/tags/{n}"), checked_tag(tag));
        checked.insert(tag.to_owned());
    }
    checked
}

/// Checks a tag.
pub(crate) fn checked_tag(tag: &str) -> Result<(), String> {
    if is_tag(tag.trim()) {
        Ok(())
    } else {
        Err(format!("must be 1 to {TAG_BYTES_MAX} bytes of printable text"))
    }
}

/// Whether the text is a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    is_name(text) && text.len() <= TAG_BYTES_MAX
}

/// A tag of BCP 47, in lower case.
pub(crate) fn checked_language(tag: &str) -> Result<String, &'static str> {
    let tag = tag.trim().to_ascii_lowercase();
    let mut parts = tag.split('-');
    let is_language =
        |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic());
    let is_more =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if tag.len() <= 35 && parts.next().is_some_and(is_language) && parts.all(is_more) {
        Ok(tag)
    } else {
        Err("must be a language tag as in BCP 47: de, pt-br")
    }
}
