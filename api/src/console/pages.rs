//! `GET /console/inbox`: the inbox, and its parts as fragments.

use super::visitor::Visitor;
use super::{go_to, html, panel, trouble};
use crate::extract::Params;
use crate::problem::Problem;
use crate::routes::{ids, paging};
use crate::services::{self, triage};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::response::Response;
use dmrelay_console::{Entry, Inbox, Markup, Person, Phone, Place, Selected, Tab, Thread, count_of, words};
use dmrelay_domain::ids::{ChatId, ConnectionId, MessageId, SubaccountId};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::{ActivityKind, ChatMode, ChatSort, TurnState};
use dmrelay_store::entity::chat;
use dmrelay_store::{Assigned, ChatFilter, DeadLetterFilter, Folder};
use dmrelay_views::{ChatView, DeadLetterView, MessageView, time};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// Chats on a page of the list, and messages on a page of a conversation.
const PAGE: u64 = 50;

/// The largest number of messages that a page shows to reach back to one of them.
const REACH_MAX: u64 = 2_000;

/// Failures in a conversation.
const LETTERS: u64 = 20;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    folder: Option<String>,
    q: Option<String>,
    chat: Option<Uuid>,
    cursor: Option<String>,
    before: Option<Uuid>,
    /// A message that the page must show.
    message: Option<Uuid>,
    part: Option<String>,
}

impl Query {
    fn place(&self) -> Place {
        let is_known = |folder: &&String| words::FOLDERS.iter().any(|(word, _, _)| word == folder);
        Place {
            folder: self.folder.as_ref().filter(is_known).cloned().unwrap_or_else(|| "all".to_owned()),
            q: self.q.as_deref().unwrap_or_default().trim().chars().take(paging::TEXT_MAX / 4).collect(),
            has_accounts: false,
        }
    }
}

/// The page, or the part that is asked for.
pub(super) async fn inbox(
    State(state): State<ApiState>,
    visitor: Visitor,
    Params(query): Params<Query>,
) -> Response {
    render(&state, &visitor, &query).await.unwrap_or_else(|problem| trouble(&problem))
}

async fn render(state: &ApiState, visitor: &Visitor, query: &Query) -> Result<Response, Problem> {
    visitor.require(Permission::Read)?;
    let _permit = state.readers.permit(&visitor.subaccount).await?;
    let person = visitor.person();
    let connections = ids(&state.store.connections(&visitor.subaccount, None).await?);
    let place = Place { has_accounts: connections.len() > 1, ..query.place() };
    let chat = query.chat.map(ChatId);
    match query.part.as_deref() {
        Some("folders") => Ok(html(folders(state, visitor, &connections, &place).await?)),
        Some(part @ ("list" | "more")) => {
            let (chats, next) = list(state, visitor, connections, (&place, query)).await?;
            let next = next.as_deref();
            Ok(html(match part {
                "list" => dmrelay_console::list(&place, &chats, next, query.chat),
                _ => dmrelay_console::more(&place, &chats, next, query.chat),
            }))
        }
        Some("older") => {
            let row = find(state, &connections, chat.unwrap_or_default()).await?;
            let before = query.before.map(MessageId);
            let page = Conversation::load((state, &visitor.subaccount), &row, (before, PAGE)).await?;
            Ok(html(dmrelay_console::older(&person, &page.entries(), page.older(&place).as_deref())))
        }
        Some("panel") => {
            let row = find(state, &connections, chat.unwrap_or_default()).await?;
            Ok(html(panel::of_row(state, visitor, &connections, &row).await?))
        }
        Some("phone") => Ok(html(phone(state, &person, &connections).await.unwrap_or_default())),
        _ => {
            let selected = match chat {
                Some(chat) => {
                    Some(open(state, visitor, (&connections, chat), (&place, query.message)).await?)
                }
                None => None,
            };
            let aside = phone(state, &person, &connections).await;
            let (chats, next) = list(state, visitor, connections, (&place, query)).await?;
            let page =
                Inbox { person: &person, place: &place, chats: &chats, next, counts: &[], selected, aside };
            Ok(html(dmrelay_console::shell(Tab::Inbox, &person, &page.render())))
        }
    }
}

/// The chats of a folder, as REST lists them.
async fn list(
    state: &ApiState,
    visitor: &Visitor,
    connections: Vec<ConnectionId>,
    (place, query): (&Place, &Query),
) -> Result<(Vec<ChatView>, Option<String>), Problem> {
    let mut errors = crate::problem::ValidationErrors::default();
    let before = paging::read_time_and_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let filter = ChatFilter {
        connections,
        q: Some(place.q.clone()).filter(|q| !q.is_empty()),
        before,
        limit: PAGE,
        ..of_folder(&place.folder, visitor)
    };
    let page = services::chats::page(state, &visitor.actor, filter).await?;
    Ok((page.items, page.next.map(paging::write_time_and_id)))
}

/// What the chats of a folder have in common.
fn of_folder(folder: &str, visitor: &Visitor) -> ChatFilter {
    let mode = |mode: ChatMode| ChatFilter { mode: Some(mode.as_str().to_owned()), ..ChatFilter::default() };
    match folder {
        "bot" => mode(ChatMode::Bot),
        "human" => mode(ChatMode::Human),
        "mine" => {
            let assigned = Some(Assigned::To(triage::person(&visitor.actor).to_owned()));
            ChatFilter { assigned, ..ChatFilter::default() }
        }
        folder => {
            // The oldest message, and whatever ends soonest, stands first.
            let sort = match folder {
                "unanswered" => Some(ChatSort::Oldest),
                "window_closing" => Some(ChatSort::Window),
                _ => None,
            };
            ChatFilter { folder: Folder::parse(folder), sort, ..ChatFilter::default() }
        }
    }
}

/// The folders with how many chats each has.
async fn folders(
    state: &ApiState,
    visitor: &Visitor,
    connections: &[ConnectionId],
    place: &Place,
) -> Result<Markup, Problem> {
    let mut counts = Vec::new();
    for (word, _, _) in words::FOLDERS {
        let filter = ChatFilter { connections: connections.to_vec(), limit: 1, ..of_folder(word, visitor) };
        let search_time = state.options.limits.search_timeout;
        let page = state.store.chats(&ChatFilter { search_time, ..filter }).await?;
        counts.push((word, count_of(page.total, page.total_is_exact)));
    }
    Ok(dmrelay_console::folders(place, &counts))
}

/// A chat of the subaccount.
pub(super) async fn find(
    state: &ApiState,
    connections: &[ConnectionId],
    id: ChatId,
) -> Result<chat::Model, Problem> {
    let row = state.store.chat_of(connections, id).await?;
    row.ok_or_else(|| Problem::not_found("this subaccount has no such conversation"))
}

/// A page of a conversation, in views.
struct Conversation {
    chat: ChatId,
    /// Newest first.
    messages: Vec<MessageView>,
    modes: Vec<ModeChange>,
    /// What failed, and waits for somebody.
    letters: Vec<DeadLetterView>,
    /// Where older messages begin.
    before: Option<MessageId>,
    is_thinking: bool,
}

/// Who answers changed.
struct ModeChange {
    id: Uuid,
    at: String,
    is_bots: bool,
    by: String,
    reason: Option<String>,
}

impl Conversation {
    async fn load(
        (state, subaccount): (&ApiState, &SubaccountId),
        row: &chat::Model,
        (before, most): (Option<MessageId>, u64),
    ) -> Result<Self, Problem> {
        let page = services::thread::page(state, row, (before, most, 0)).await?;
        let is_thinking = page.turns.iter().any(|turn| turn.state.known() == Some(TurnState::Asking));
        let modes = page.modes.iter().map(|mode| ModeChange {
            id: mode.id.0,
            at: time(mode.at).unwrap_or_default(),
            is_bots: mode.kind.known() == Some(ActivityKind::BotResumed),
            by: mode.actor.clone(),
            reason: serde_json::from_str::<Value>(&mode.details)
                .ok()
                .and_then(|details| details["reason"].as_str().map(str::to_owned)),
        });
        let modes = modes.collect();
        let letters = if before.is_none() { letters(state, subaccount, row).await? } else { Vec::new() };
        let messages = page.messages.map(MessageView::of);
        Ok(Self {
            chat: row.id,
            messages: messages.items,
            modes,
            letters,
            before: messages.next,
            is_thinking,
        })
    }

    /// Messages and changes, oldest first.
    fn entries(&self) -> Vec<Entry<'_>> {
        let messages = self.messages.iter().map(|one| (one.created_at.as_str(), Entry::Message(one)));
        let modes = self.modes.iter().map(|one| {
            let ModeChange { id, at, is_bots, by, reason } = one;
            let (at_text, by, reason) = (at.clone(), by.clone(), reason.clone());
            (at.as_str(), Entry::Changed { id: *id, at: at_text, is_bots: *is_bots, by, reason })
        });
        let letters = self.letters.iter().map(|one| (one.created_at.as_str(), Entry::Failed(one)));
        let mut all: Vec<_> = messages.rev().chain(letters).chain(modes).collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The address of older messages.
    fn older(&self, place: &Place) -> Option<String> {
        let MessageId(before) = self.before?;
        Some(format!("{}&before={before}", place.address(Some(self.chat.0))))
    }
}

/// `GET /console/messages/{messageId}`: the conversation, at this message.
pub(super) async fn message(
    State(state): State<ApiState>,
    visitor: Visitor,
    Path(id): Path<Uuid>,
) -> Response {
    let finding = async {
        visitor.require(Permission::Read)?;
        let connections = ids(&state.store.connections(&visitor.subaccount, None).await?);
        let row = state.store.message(MessageId(id)).await?;
        let row = row.filter(|row| connections.contains(&row.connection_id) && row.kind != "stub");
        let row = row.ok_or_else(|| Problem::not_found("this subaccount has no such message"))?;
        Ok(go_to(&format!("/console/inbox?chat={}&message={id}#m-{id}", row.chat_id)))
    };
    finding.await.unwrap_or_else(|problem: Problem| trouble(&problem))
}

/// How many messages a page shows to reach back to this one, with some that came before it; and whether it is too far back.
async fn reaching(state: &ApiState, chat: ChatId, message: Option<Uuid>) -> Result<(u64, bool), Problem> {
    let Some(message) = message else { return Ok((PAGE, false)) };
    match state.store.messages_from(chat, MessageId(message), REACH_MAX + 1).await? {
        0 => Err(Problem::not_found("this conversation has no such message")),
        newer if newer > REACH_MAX => Ok((PAGE, true)),
        newer => Ok((PAGE.max(newer + PAGE / 2), false)),
    }
}

/// An open conversation. Whoever opens it has read it.
async fn open(
    state: &ApiState,
    visitor: &Visitor,
    (connections, id): (&[ConnectionId], ChatId),
    (place, message): (&Place, Option<Uuid>),
) -> Result<Selected, Problem> {
    let row = find(state, connections, id).await?;
    let (most, is_too_far) = reaching(state, row.id, message).await?;
    let conversation = Conversation::load((state, &visitor.subaccount), &row, (None, most)).await?;
    let reader = (&visitor.actor, visitor.may(Permission::Send));
    services::read::read(state, &row, reader, None).await?;
    let chat = services::chats::view(state, &visitor.actor, &row).await?;
    let (person, entries) = (visitor.person(), conversation.entries());
    let panel = panel::render(state, visitor, connections, &chat).await?;
    let templates = state.store.templates(&visitor.subaccount).await?;
    let templates: Vec<_> = templates.iter().map(services::templates::view).collect();
    let thread = Thread {
        templates: &templates,
        person: &person,
        chat: &chat,
        entries: &entries,
        older: conversation.older(place),
        is_too_far,
        is_thinking: conversation.is_thinking,
        back: place.address(None),
        panel,
    };
    let panes = dmrelay_console::panes(&thread);
    Ok(Selected { chat: id.0, panes })
}

/// What failed in a conversation, and waits for somebody.
async fn letters(
    state: &ApiState,
    subaccount: &SubaccountId,
    row: &chat::Model,
) -> Result<Vec<DeadLetterView>, Problem> {
    let open = DeadLetterFilter::open(subaccount, vec![row.connection_id], LETTERS);
    let filter = DeadLetterFilter { chat: Some(row.id), ..open };
    let page = state.store.dead_letter_page(&filter).await?;
    Ok(page.items.iter().map(DeadLetterView::of).collect())
}

/// The customer's phone, in the demo. What was sent besides text is shown by our copies.
async fn phone(state: &ApiState, person: &Person, connections: &[ConnectionId]) -> Option<Markup> {
    let customer = &state.options.demo.as_ref()?.customer;
    let (mut messages, troubles) = (customer.conversation(), customer.troubles());
    let mids: Vec<String> = messages.iter().map(|message| message.mid.clone()).collect();
    let attachments = state.store.attachments_of(connections, &mids).await.unwrap_or_default();
    for message in &mut messages {
        let first = attachments.get(&message.mid).and_then(|json| serde_json::from_str::<Value>(json).ok());
        let first = first.as_ref().map_or(&Value::Null, |all| &all[0]);
        let copy = first["mediaId"].as_str().and_then(|id| id.parse().ok());
        message.media = copy.map(|id| (first["type"].as_str().unwrap_or_default().to_owned(), id));
    }
    let phone = Phone { person, account: customer.account(), messages: &messages, troubles: &troubles };
    Some(dmrelay_console::phone(&phone))
}
