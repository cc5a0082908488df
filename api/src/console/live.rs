//! `GET /console/live`: what changes, as fragments over Server-Sent Events.

use super::trouble;
use super::visitor::Visitor;
use crate::extract::Params;
use crate::live::{Include, LiveEvent, LiveEventKind};
use crate::problem::Problem;
use crate::routes::events::{self, Reader};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::response::sse::Event;
use dmrelay_console::words::{self, EVENTS};
use dmrelay_console::{Person, Place, bubble, changed, event_row, fetch, fetch_of, head, row, thinking};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::ActivityKind;
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    folder: Option<String>,
    /// The conversation that is open.
    chat: Option<Uuid>,
    /// What is searched for.
    #[serde(default)]
    q: String,
    /// The last event that the page has, where the browser does not know.
    after: Option<Uuid>,
    /// The group of activities, on the page that shows whatever happens.
    tail: Option<String>,
}

/// What a page shows, for which fragments are made.
struct Shown {
    person: Person,
    place: Place,
    chat: Option<Uuid>,
    tail: Option<Tail>,
}

/// What a page without a conversation shows.
enum Tail {
    /// It is fetched anew when such a thing happens.
    Fetched(String, fn(LiveEventKind) -> bool),
    /// The events themselves.
    Events,
}

pub(super) async fn live(
    State(state): State<ApiState>,
    visitor: Visitor,
    mut headers: HeaderMap,
    Params(query): Params<Query>,
) -> Response {
    let opening = async {
        visitor.require(Permission::Read)?;
        let known = state.store.connections(&visitor.subaccount, None).await?;
        let known: Vec<_> = known.iter().map(|connection| connection.id).collect();
        let folder = query.folder.unwrap_or_else(|| "all".to_owned());
        let place = Place { folder, q: query.q, has_accounts: known.len() > 1 };
        if let (Some(after), false) = (query.after, headers.contains_key(LAST_EVENT_ID)) {
            let value = HeaderValue::from_str(&after.to_string());
            headers.insert(LAST_EVENT_ID, value.unwrap_or(HeaderValue::from_static("")));
        }
        let tail = query.tail.as_deref().and_then(|word| tail(word, &place.q));
        let shown = Shown { person: visitor.person(), place, chat: query.chat, tail };
        let Visitor { subaccount, actor, credential, .. } = visitor;
        let reader = Reader {
            subaccount,
            agent: None,
            actor,
            include: vec![Include::Message, Include::Chat],
            render: Arc::new(move |event| shown.fragments(event)),
        };
        events::stream(state, (reader, credential), known, (&headers, None)).await
    };
    opening.await.unwrap_or_else(|problem: Problem| trouble(&problem))
}

/// What the page of this word shows; `sieve` says which part of it.
fn tail(word: &str, sieve: &str) -> Option<Tail> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=&".contains(&byte);
    let sieve = Some(sieve).filter(|sieve| sieve.bytes().all(is_plain)).unwrap_or_default();
    let fetched = |page: &str, is_of: fn(LiveEventKind) -> bool| {
        Some(Tail::Fetched(format!("/console/{page}?part=list&{sieve}"), is_of))
    };
    match word {
        "broadcasts" => fetched("broadcasts", |kind| kind == LiveEventKind::BroadcastUpdated),
        "comments" => fetched("comments", |kind| kind == LiveEventKind::CommentUpdated),
        "accounts" => fetched("accounts", |kind| kind == LiveEventKind::ConnectionState),
        "failed" => fetched("failed", |kind| {
            matches!(kind, LiveEventKind::DeadLetterOpened | LiveEventKind::DeadLetterClosed)
        }),
        EVENTS => Some(Tail::Events),
        word => {
            let is_group = words::ACTIVITY_GROUPS.iter().any(|(group, _)| *group == word);
            is_group.then(|| Tail::Fetched(format!("/console/activity?part=rows&group={word}"), |_| true))
        }
    }
}

impl Shown {
    /// The fragments that an event changes; `None` if it changes nothing here.
    fn fragments(&self, event: &LiveEvent) -> Option<Event> {
        let is_open = event.chat_id.is_some() && event.chat_id == self.chat;
        let event_id = event.id.to_string();
        if let Some(tail) = &self.tail {
            let markup = match tail {
                Tail::Events => {
                    event_row(event.name(), event.at.as_deref(), &serde_json::to_value(event).ok()?)
                }
                Tail::Fetched(address, is_of) if is_of(event.kind) => {
                    let closed =
                        event.dead_letter_id.filter(|_| event.kind == LiveEventKind::DeadLetterClosed);
                    maud::html! {
                        (fetch(address))
                        @if let Some(letter) = closed { (fetch_of(&format!("letter-{letter}"), &format!("/console/failed/{letter}?list=true"))) }
                    }
                }
                Tail::Fetched(..) => return None,
            };
            return Some(Event::default().id(event_id).event("fragments").data(markup.into_string()));
        }
        let markup = maud::html! {
            @if let Some(chat) = &event.chat {
                (row(&self.place, chat, is_open))
                @if is_open { (head(&self.person, chat, &self.place.address(None))) }
            }
            @if is_open {
                @if let Some(message) = &event.message { (bubble(message)) }
                @match (event.kind, event.chat_id) {
                    (LiveEventKind::TurnStarted, Some(chat)) => (thinking(chat, true)),
                    (LiveEventKind::TurnEnded, Some(chat)) => (thinking(chat, false)),
                    // What it was then: by now somebody else may answer.
                    (LiveEventKind::ChatMode, _) => @if let Some(ActivityKind::BotPaused | ActivityKind::BotResumed) = event.activity {
                        @let is_bots = event.activity == Some(ActivityKind::BotResumed);
                        (changed(event.id, event.at.as_deref().unwrap_or_default(), is_bots, (&event.actor, event.reason())))
                    },
                    (LiveEventKind::ChatUpdated, Some(chat)) => (fetch(&format!("/console/inbox?part=panel&chat={chat}"))),
                    (LiveEventKind::DeadLetterOpened | LiveEventKind::DeadLetterClosed, _) => {
                        @if let Some(letter) = event.dead_letter_id { (fetch(&format!("/console/failed/{letter}"))) }
                    },
                    _ => {},
                }
            }
        };
        let html = markup.into_string();
        let event = Event::default().id(event_id).event("fragments");
        (!html.is_empty()).then(|| event.data(html))
    }
}
