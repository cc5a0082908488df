//! The panel of a customer: who looks after them, tags, snoozes and notes.

use super::acts::{Act, Fields, address};
use super::call::Call;
use super::visitor::Visitor;
use crate::extract::Id;
use crate::problem::{Problem, ValidationErrors};
use crate::services::{chats, triage};
use crate::state::ApiState;
use axum::extract::Path;
use axum::response::Response;
use dmrelay_console::{Markup, Panel, row};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, NoteId};
use dmrelay_domain::permission::Permission;
use dmrelay_store::entity::chat;
use dmrelay_store::{ChatFilter, Triage};
use dmrelay_views::{ChatView, NoteView};
use uuid::Uuid;

/// Notes in the panel.
const NOTES: u64 = 20;

/// Chats with other accounts in the panel.
const OTHERS: u64 = 10;

/// The longest snooze, in hours: REST knows any time.
const SNOOZE_MAX: u32 = 24 * 30;

/// The panel of a chat.
pub(super) async fn render(
    state: &ApiState,
    visitor: &Visitor,
    connections: &[ConnectionId],
    chat: &ChatView,
) -> Result<Markup, Problem> {
    let notes = state.store.notes(ChatId(chat.chat_id), (None, NOTES, 0)).await?;
    let notes: Vec<NoteView> = notes.items.iter().map(NoteView::of).collect();
    let is_mine = chat.assignee.as_deref() == Some(triage::person(&visitor.actor));
    let person = visitor.person();
    let others = others(state, visitor, connections, chat).await?;
    Ok(dmrelay_console::panel(&Panel { person: &person, chat, is_mine, notes: &notes, others: &others }))
}

/// The customer's chats with other accounts, which know them by other ids: by the handle.
async fn others(
    state: &ApiState,
    visitor: &Visitor,
    connections: &[ConnectionId],
    chat: &ChatView,
) -> Result<Vec<ChatView>, Problem> {
    let Some(username) = chat.username.as_ref().filter(|_| connections.len() > 1) else {
        return Ok(Vec::new());
    };
    let filter = ChatFilter {
        connections: connections.to_vec(),
        username: Some(username.clone()),
        limit: OTHERS,
        ..ChatFilter::default()
    };
    // What takes too long is left out.
    let Ok(found) = chats::page(state, &visitor.actor, filter).await else { return Ok(Vec::new()) };
    Ok(found.items.into_iter().filter(|other| other.chat_id != chat.chat_id).collect())
}

/// `POST /console/chats/{chatId}/triage`: assigns, tags or snoozes.
pub(super) async fn change(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let changing = async {
        let act = Act::begin(&call, Permission::TakeOver, id).await?;
        let change = wanted(&call.fields, act.visitor, act.state.clock.now())?;
        let chat = triage::change(act.state, (&act.connection, &act.row), &act.visitor.actor, change).await?;
        let panel = render(act.state, act.visitor, &act.connections, &chat).await?;
        Ok(maud::html! { (panel) (row(&act.place, &chat, true)) })
    };
    call.answer(changing.await, &address(id))
}

/// What the form asks for.
fn wanted(
    fields: &Fields,
    visitor: &Visitor,
    now: Millis,
) -> Result<impl FnOnce(&mut Triage) + Send + use<>, Problem> {
    let mut errors = ValidationErrors::default();
    let assignee = fields.assignee.clone().map(|who| {
        let who = Some(who).filter(|who| !who.is_empty());
        who.map(|who| triage::assignee(who, &visitor.actor, &mut errors))
    });
    // One at a time: colleagues may tag it at the same moment.
    let added = triage::checked_tags(fields.tag.as_deref().into_iter(), &mut errors);
    let removed = fields.untag.clone();
    if fields.snooze.is_some_and(|hours| hours > SNOOZE_MAX) {
        errors.at("/snooze", format!("must be at most {SNOOZE_MAX} hours"));
    }
    errors.end()?;
    let snooze = fields.snooze.map(|hours| (hours > 0).then(|| now + i64::from(hours) * 3_600_000));
    Ok(move |triage: &mut Triage| {
        if let Some(assignee) = assignee {
            triage.assignee = assignee;
        }
        if let Some(tag) = removed {
            triage.tags.remove(&tag);
        }
        triage.add_tags(added);
        if let Some(until) = snooze {
            triage.snooze(until);
        }
    })
}

/// `POST /console/chats/{chatId}/notes`.
pub(super) async fn add_note(Id(id): Id<ChatId>, call: Call<Fields>) -> Response {
    let adding = async {
        let act = Act::begin(&call, Permission::TakeOver, id).await?;
        let text = call.fields.text.as_deref().unwrap_or_default();
        triage::add_note(act.state, (&act.connection, act.row.id), &act.visitor.actor, text).await?;
        of_row(act.state, act.visitor, &act.connections, &act.row).await
    };
    call.answer(adding.await, &address(id))
}

/// `POST /console/chats/{chatId}/notes/{noteId}/delete`.
pub(super) async fn delete_note(Path((chat, note)): Path<(Uuid, Uuid)>, call: Call<Fields>) -> Response {
    let (id, note) = (ChatId(chat), NoteId(note));
    let deleting = async {
        let act = Act::begin(&call, Permission::TakeOver, id).await?;
        triage::delete_note(act.state, (&act.connection, act.row.id), &act.visitor.actor, note).await?;
        of_row(act.state, act.visitor, &act.connections, &act.row).await
    };
    call.answer(deleting.await, &address(id))
}

/// The panel of a chat's row.
pub(super) async fn of_row(
    state: &ApiState,
    visitor: &Visitor,
    connections: &[ConnectionId],
    row: &chat::Model,
) -> Result<Markup, Problem> {
    let chat = chats::view(state, &visitor.actor, row).await?;
    render(state, visitor, connections, &chat).await
}
