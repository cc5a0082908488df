//! `GET …/events`: what happens, as it happens (WHATWG HTML, "Server-sent events").

use super::all;
use crate::access::Scope;
use crate::extract::Params;
use crate::live::{Listener, LiveEvent, Past, Step};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dmrelay_store::entity::activity;
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::IntoParams;
use uuid::Uuid;

/// How often a stream without events says that it is there.
const ALIVE: Duration = Duration::from_secs(15);

/// How soon a client is to come again, in milliseconds.
const COME_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Of this account only.
    connection_id: Option<Uuid>,
}

/// Streams what happens, as it happens
///
/// Server-Sent Events `message.received`, `message.sent`, `message.failed`, `connection.state` and `chat.mode`,
/// each with its id and a `LiveEvent` as data. `Last-Event-ID` goes on after the event with that id: a few may
/// come again, their ids tell. An event `reset` means that more was missed than is sent again: read the lists.
/// A stream ends after ten minutes; come again with the last id.
#[utoipa::path(get, path = "/events", tag = "Events", operation_id = "streamEvents",
    params(Query, ("Last-Event-ID" = Option<Uuid>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "The stream", body = LiveEvent, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(state): State<ApiState>,
    scope: Scope,
    headers: HeaderMap,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let seen = last_seen(&headers)?;
    let wanted = Wanted::of(&state, &scope, query.connection_id).await?;
    // Listening begins before the past is read, so that nothing falls between.
    let Some(listener) = state.live.listen(&scope.subaccount).await? else {
        let title = "Too many event streams are open";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", title).retry_after(10));
    };
    let past = match seen {
        Some(seen) => Some(Past::after(&state.store, &scope.subaccount, seen).await?),
        None => None,
    };
    let stream = Streaming::begin(state, wanted, past, listener);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)).into_response();
    // A proxy that gathers what it passes on would keep events back.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_seen(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse::<Uuid>().ok());
    let id = id.filter(|id| id.get_version_num() == 7);
    id.map(Some).ok_or_else(|| Problem::parameter("Last-Event-ID", "must be the id of an event"))
}

/// Which connections a stream is about.
struct Wanted {
    scope: Scope,
    only: Option<Uuid>,
    /// Whether a connection is the agent's, as far as it was asked.
    known: HashMap<Uuid, bool>,
}

impl Wanted {
    async fn of(state: &ApiState, scope: &Scope, only: Option<Uuid>) -> Result<Self, Problem> {
        let known: HashMap<Uuid, bool> =
            all(state, scope).await?.iter().map(|connection| (connection.id.0, true)).collect();
        if only.is_some_and(|id| !known.contains_key(&id)) {
            return Err(super::no_such_connection());
        }
        Ok(Self { scope: scope.clone(), only, known })
    }

    /// Whether the stream shows an activity. A connection may have been made since the stream began.
    async fn shows(&mut self, state: &ApiState, row: &activity::Model) -> dmrelay_store::Result<bool> {
        let Some(id) = row.connection_id else { return Ok(false) };
        if self.only.is_some_and(|only| only != id) {
            return Ok(false);
        }
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let connection = state.store.connection_by_id(id.into()).await?;
        let own = connection
            .is_some_and(|one| one.agent == self.scope.agent && one.subaccount == self.scope.subaccount);
        self.known.insert(id, own);
        Ok(own)
    }
}

/// A stream under way.
struct Streaming {
    state: ApiState,
    wanted: Wanted,
    listener: Listener,
    past: Option<Past>,
    /// What the past told, so that the feed does not tell it again.
    told: HashSet<Uuid>,
    end: Instant,
}

impl Streaming {
    fn begin(
        state: ApiState,
        wanted: Wanted,
        past: Option<Past>,
        listener: Listener,
    ) -> impl Stream<Item = Result<Event, Infallible>> {
        let hello = Event::default().retry(COME_AGAIN).comment("dmrelay");
        let end = Instant::now() + state.options.limits.event_stream_time;
        let streaming = Self { state, wanted, listener, past, told: HashSet::new(), end };
        let rest = stream::unfold(streaming, |mut streaming| async move {
            let event = streaming.next().await?;
            Some((Ok(event), streaming))
        });
        stream::once(async { Ok(hello) }).chain(rest)
    }

    /// The next event; nothing when the stream is to end. A client comes again then, and goes on after the last
    /// one it has seen.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if Instant::now() >= self.end || self.state.stop.is_cancelled() {
                return None;
            }
            let row = match &mut self.past {
                Some(past) => match past.next().await {
                    Ok(Step::Row(row)) => Arc::from(row),
                    Ok(Step::End) => {
                        self.told = self.past.take().map(Past::both).unwrap_or_default();
                        continue;
                    }
                    Ok(Step::TooMany) => {
                        self.told = self.past.take().map(Past::both).unwrap_or_default();
                        return Some(Event::default().event("reset").data("{}"));
                    }
                    Err(err) => return ended(&err),
                },
                None => self.live().await?,
            };
            match self.wanted.shows(&self.state, &row).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(err) => return ended(&err),
            }
            let Some(event) = LiveEvent::of(&row) else { continue };
            let data = serde_json::to_string(&event).ok()?;
            return Some(Event::default().id(event.id.to_string()).event(event.name()).data(data));
        }
    }

    /// The next activity of the feed; nothing when the stream is to end.
    async fn live(&mut self) -> Option<Arc<activity::Model>> {
        loop {
            let received = tokio::select! {
                () = self.state.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                received = self.listener.live.recv() => received,
            };
            match received {
                Ok(row) if self.told.remove(&row.id) => {}
                Ok(row) => return Some(row),
                // A client too slow for what happens.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            }
        }
    }
}

/// The database does not answer: the client comes again.
fn ended(err: &dmrelay_store::Error) -> Option<Event> {
    tracing::warn!(error = %err, "an event stream ends");
    None
}
