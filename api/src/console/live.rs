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
use dmrelay_console::{Person, Place, bubble, changed, fetch, head, row, thinking, words};
use dmrelay_domain::permission::Permission;
use dmrelay_domain::states::ActivityKind;
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

/// Lists that pages show and fetch anew.
const BROADCASTS: &str = "/console/broadcasts?part=list";
const COMMENTS: &str = "/console/comments?part=list";

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
    /// What the page fetches whatever happens.
    tail: Option<String>,
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
        let known = known.iter().map(|connection| connection.id).collect();
        let place = Place { folder: query.folder.unwrap_or_else(|| "all".to_owned()), q: query.q };
        if let (Some(after), false) = (query.after, headers.contains_key(LAST_EVENT_ID)) {
            let value = HeaderValue::from_str(&after.to_string());
            headers.insert(LAST_EVENT_ID, value.unwrap_or(HeaderValue::from_static("")));
        }
        let tail = query.tail.as_deref().and_then(tail);
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

/// What a page fetches whatever happens: the list that it shows.
fn tail(word: &str) -> Option<String> {
    let page = match word {
        "broadcasts" => Some(BROADCASTS),
        "comments" => Some(COMMENTS),
        _ => None,
    };
    if let Some(page) = page {
        return Some(page.to_owned());
    }
    let is_group = words::ACTIVITY_GROUPS.iter().any(|(group, _)| *group == word);
    is_group.then(|| format!("/console/activity?part=rows&group={word}"))
}

impl Shown {
    /// The fragments that an event changes; `None` if it changes nothing here.
    fn fragments(&self, event: &LiveEvent) -> Option<Event> {
        let is_open = event.chat_id.is_some() && event.chat_id == self.chat;
        let event_id = event.id.to_string();
        if let Some(tail) = &self.tail {
            let is_of_page = match tail.as_str() {
                BROADCASTS => event.kind == LiveEventKind::BroadcastUpdated,
                COMMENTS => event.kind == LiveEventKind::CommentUpdated,
                _ => true,
            };
            if !is_of_page {
                return None;
            }
            return Some(Event::default().id(event_id).event("fragments").data(fetch(tail).into_string()));
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
                        (changed(event.id, event.at.as_deref().unwrap_or_default(), is_bots, &event.actor))
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
