//! `GET …/events`: live events (WHATWG HTML, "Server-sent events").

use super::all;
use crate::access::{Credential, Scope};
use crate::extract::Params;
use crate::live::{Listener, LiveEvent, Past, Step};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dmrelay_domain::clock::duration;
use dmrelay_domain::ids::{ActivityId, ConnectionId};
use dmrelay_domain::states::ActivityKind;
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

/// Interval of keep-alive comments on an idle stream.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Delay before a client reconnects, in milliseconds.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only this account.
    connection_id: Option<Uuid>,
}

/// Streams live events
///
/// Server-Sent Events `message.received`, `message.sent`, `message.failed`, `connection.state`,
/// `chat.mode` and `chat.erased`, each with its id and a `LiveEvent` as data. `Last-Event-ID` resumes after the event with that
/// id; a few events may be repeated with the same ids. An event `reset` means that more events were missed
/// than can be resent: read the lists again. A stream ends after ten minutes; reconnect with the last id.
#[utoipa::path(get, path = "/events", tag = "Events", operation_id = "streamEvents",
    params(Query, ("Last-Event-ID" = Option<Uuid>, Header, description = "The id of the last event received")),
    responses((status = 200, description = "The stream", body = LiveEvent, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(state): State<ApiState>,
    scope: Scope,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let seen = last_seen(&headers)?;
    let wanted = Wanted::of(&state, &scope, query.connection_id.map(ConnectionId)).await?;
    // Subscribe before reading the past, so that no event is missed in between.
    let principal = scope.actor.id.as_deref().unwrap_or_default();
    let Some(listener) = state.live.listen(&scope.subaccount, principal).await? else {
        let title = "Too many event streams are open";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", title).retry_after(10));
    };
    let past = match seen {
        Some(seen) => Some(Past::after(&state.store, &scope.subaccount, seen).await?),
        None => None,
    };
    let stream = Streaming::begin(state, wanted, (past, listener), credential);
    let mut response =
        Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL)).into_response();
    // Keeps a buffering proxy from holding events back.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_seen(headers: &HeaderMap) -> Result<Option<ActivityId>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse::<ActivityId>().ok());
    let id = id.filter(|id| id.0.get_version_num() == 7);
    id.map(Some).ok_or_else(|| Problem::parameter("Last-Event-ID", "must be the id of an event"))
}

/// The connections a stream covers.
struct Wanted {
    scope: Scope,
    only: Option<ConnectionId>,
    /// Whether a connection belongs to the agent, cached per connection.
    known: HashMap<ConnectionId, bool>,
}

impl Wanted {
    async fn of(state: &ApiState, scope: &Scope, only: Option<ConnectionId>) -> Result<Self, Problem> {
        let known: HashMap<ConnectionId, bool> =
            all(state, scope).await?.iter().map(|connection| (connection.id, true)).collect();
        if only.is_some_and(|id| !known.contains_key(&id)) {
            return Err(super::no_such_connection());
        }
        Ok(Self { scope: scope.clone(), only, known })
    }

    /// Whether the stream shows an activity. A connection may be newer than the stream.
    async fn shows(&mut self, state: &ApiState, row: &activity::Model) -> dmrelay_store::Result<bool> {
        let Some(id) = row.connection_id else { return Ok(concerns_all(row)) };
        if self.only.is_some_and(|only| only != id) {
            return Ok(false);
        }
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let connection = state.store.connection_by_id(id).await?;
        let own = connection
            .is_some_and(|one| one.agent == self.scope.agent && one.subaccount == self.scope.subaccount);
        self.known.insert(id, own);
        Ok(own)
    }
}

/// Whether an activity without a connection concerns all of the subaccount.
fn concerns_all(row: &activity::Model) -> bool {
    matches!(row.kind.known(), Some(ActivityKind::CallsPaused | ActivityKind::CallsResumed))
}

/// An open stream.
struct Streaming {
    state: ApiState,
    wanted: Wanted,
    listener: Listener,
    past: Option<Past>,
    /// Events already sent from the past, so that the feed does not repeat them.
    told: HashSet<ActivityId>,
    end: Instant,
    /// A stream ends with its credential.
    credential: Credential,
    /// When the credential is looked at next.
    check_at: Instant,
}

impl Streaming {
    fn begin(
        state: ApiState,
        wanted: Wanted,
        (past, listener): (Option<Past>, Listener),
        credential: Credential,
    ) -> impl Stream<Item = Result<Event, Infallible>> {
        let hello = Event::default().retry(RECONNECT_DELAY).comment("dmrelay");
        let mut time = state.options.limits.event_stream_time;
        if let Credential::Token(until) = credential {
            time = time.min(duration(until - state.clock.now()));
        }
        let end = Instant::now() + time;
        let check_at = Instant::now() + state.options.limits.event_credential_interval;
        let told = HashSet::new();
        let streaming = Self { state, wanted, listener, past, told, end, credential, check_at };
        let rest = stream::unfold(streaming, |mut streaming| async move {
            let event = streaming.next().await?;
            Some((Ok(event), streaming))
        });
        stream::once(async { Ok(hello) }).chain(rest)
    }

    /// The next event; `None` ends the stream. The client then reconnects and resumes after the last event it
    /// received.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if Instant::now() >= self.end || self.state.stop.is_cancelled() || !self.may_go_on().await {
                return None;
            }
            let row = match &mut self.past {
                Some(past) => {
                    let step = tokio::select! {
                        () = self.state.stop.cancelled() => return None,
                        () = tokio::time::sleep_until(self.end) => return None,
                        step = past.next(&self.state.readers) => step,
                    };
                    match step {
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
                    }
                }
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

    /// Whether the credential holds, as far as was looked lately. A database that does not answer is no reason to end.
    async fn may_go_on(&mut self) -> bool {
        if Instant::now() < self.check_at {
            return true;
        }
        self.check_at = Instant::now() + self.state.options.limits.event_credential_interval;
        let reads = self.credential.still_reads(&self.state, &self.wanted.scope.subaccount).await;
        reads.unwrap_or_else(|err| {
            tracing::warn!(error = %err, "cannot check the key of an event stream; checking again");
            true
        })
    }

    /// The next activity of the feed; `None` ends the stream.
    async fn live(&mut self) -> Option<Arc<activity::Model>> {
        loop {
            let received = tokio::select! {
                () = self.state.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(self.check_at) => {
                    if self.may_go_on().await {
                        continue;
                    }
                    return None;
                }
                received = self.listener.live.recv() => received,
            };
            match received {
                Ok(row) if self.told.remove(&row.id) => {}
                Ok(row) => return Some(row),
                // The client is too slow for the feed.
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            }
        }
    }
}

/// The database is unavailable: the client reconnects.
fn ended(err: &dmrelay_store::Error) -> Option<Event> {
    tracing::warn!(error = %err, "event stream closed: database error");
    None
}
