//! The panel of a customer: who looks after them, tags, snoozes and notes.

use super::acts::{Act, Fields, answered};
use super::visitor::Visitor;
use crate::extract::Id;
use crate::problem::{Problem, ValidationErrors};
use crate::services::{chats, triage};
use crate::state::ApiState;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::{Markup, Panel, row};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, NoteId};
use dmrelay_domain::permission::Permission;
use dmrelay_store::Triage;
use dmrelay_store::entity::chat;
use dmrelay_views::{ChatView, NoteView};
use uuid::Uuid;

/// Notes in the panel.
const NOTES: u64 = 20;

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
    Ok(dmrelay_console::panel(&Panel {
        person: &person,
        chat,
        is_mine,
        notes: &notes,
        has_other_accounts: connections.len() > 1,
    }))
}

/// `POST /console/chats/{chatId}/triage`: assigns, tags or snoozes.
pub(super) async fn change(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let changing = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::TakeOver, id)).await?;
        let change = wanted(fields, &visitor, state.clock.now())?;
        let chat = triage::change(&state, (&act.connection, &act.row), &visitor.actor, change).await?;
        let panel = of_act(&act, &chat).await?;
        Ok(maud::html! { (panel) (row(&act.place, &chat, true)) })
    };
    answered(changing.await, &headers, id)
}

/// What the form asks for.
fn wanted(
    fields: Fields,
    visitor: &Visitor,
    now: Millis,
) -> Result<impl FnOnce(&mut Triage) + Send + 'static, Problem> {
    let mut errors = ValidationErrors::default();
    let assignee = fields.assignee.map(|who| {
        let who = Some(who).filter(|who| !who.is_empty());
        who.map(|who| triage::checked_assignee(who, &visitor.actor, &mut errors))
    });
    // One at a time: colleagues may tag it at the same moment.
    let added = triage::checked_tags(fields.tag.as_deref().into_iter(), &mut errors);
    let removed = fields.untag;
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
pub(super) async fn add_note(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<ChatId>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let adding = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::TakeOver, id)).await?;
        let text = fields.text.as_deref().unwrap_or_default();
        triage::add_note(&state, (&act.connection, act.row.id), &visitor.actor, text).await?;
        fresh(&act).await
    };
    answered(adding.await, &headers, id)
}

/// `POST /console/chats/{chatId}/notes/{noteId}/delete`.
pub(super) async fn delete_note(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path((chat, note)): Path<(Uuid, Uuid)>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let id = ChatId(chat);
    let deleting = async {
        let act = Act::begin(&state, &visitor, (&headers, &fields), (Permission::TakeOver, id)).await?;
        triage::delete_note(&state, (&act.connection, act.row.id), &visitor.actor, NoteId(note)).await?;
        fresh(&act).await
    };
    answered(deleting.await, &headers, id)
}

async fn fresh(act: &Act<'_>) -> Result<Markup, Problem> {
    let chat = chats::view(act.state, &act.visitor.actor, &act.row).await?;
    of_act(act, &chat).await
}

async fn of_act(act: &Act<'_>, chat: &ChatView) -> Result<Markup, Problem> {
    render(act.state, act.visitor, &act.connections, chat).await
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
