//! `GET …/events`: live events (WHATWG HTML, "Server-sent events").

use crate::access::{Credential, Scope, Tenant};
use crate::extract::Params;
use crate::live::{Entry, Include, Listener, LiveEvent, LiveEventKind, Past, Step};
use crate::problem::{Problem, ValidationErrors};
use crate::services;
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::duration;
use dmrelay_domain::ids::{ActivityId, AgentId, ConnectionId, SubaccountId};
use dmrelay_domain::states::ActivityKind;
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
    /// What the events carry beside ids and states, separated by commas: `message`, `chat`.
    #[param(example = "message,chat", pattern = "^(message|chat)(,(message|chat))*$")]
    include: Option<String>,
}

/// Streams live events
///
/// Server-Sent Events, each with its id and a `LiveEvent` as data. States (`mode`, `connection`, `message`, `chat`) are those of the
/// moment in which the event is delivered. `Last-Event-ID` resumes after the event with that id; a few events may be repeated with
/// the same ids. An event `reset` means that more events were missed than can be resent: read the lists again. A stream ends after
/// ten minutes; reconnect with the last id.
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
    // Before its first account is connected an agent is unknown: the stream shows when it is.
    let known = state.store.connections(&scope.subaccount, Some(&scope.agent)).await?;
    let known = known.iter().map(|connection| connection.id).collect();
    let Scope { subaccount, agent, actor, .. } = scope;
    let include = included(query.include.as_deref())?;
    let reader = Reader { subaccount, agent: Some(agent), actor, include, render: Arc::new(json) };
    stream(state, (reader, credential), known, (&headers, query.connection_id)).await
}

/// Streams the live events of all agents
///
/// As the stream of one agent, for an inbox of the whole subaccount.
#[utoipa::path(get, path = "/events", tag = "Events", operation_id = "streamAllEvents",
    params(Query, ("Last-Event-ID" = Option<Uuid>, Header, description = "The id of the last event received")),
    responses((status = 200, description = "The stream", body = LiveEvent, content_type = "text/event-stream")))]
pub(super) async fn of_tenant(
    State(state): State<ApiState>,
    tenant: Tenant,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let known = state.store.connections(&tenant.subaccount, None).await?;
    let known = known.iter().map(|connection| connection.id).collect();
    let Tenant { subaccount, actor, .. } = tenant;
    let include = included(query.include.as_deref())?;
    let reader = Reader { subaccount, agent: None, actor, include, render: Arc::new(json) };
    stream(state, (reader, credential), known, (&headers, query.connection_id)).await
}

/// Makes what is sent of an event.
type Render = dyn Fn(&LiveEvent) -> Option<Event> + Send + Sync;

/// Who reads a stream, of what, and in which form.
pub(crate) struct Reader {
    pub(crate) subaccount: SubaccountId,
    /// `None` for all agents.
    pub(crate) agent: Option<AgentId>,
    pub(crate) actor: Actor,
    /// What the events carry.
    pub(crate) include: Vec<Include>,
    /// An event as it is sent; `None` if it is not.
    pub(crate) render: Arc<Render>,
}

/// An event as JSON.
fn json(event: &LiveEvent) -> Option<Event> {
    let data = serde_json::to_string(event).ok()?;
    Some(Event::default().id(event.id.to_string()).event(event.name()).data(data))
}

/// A stream of the events of these connections and of later ones, or of one of them.
pub(crate) async fn stream(
    state: ApiState,
    (reader, credential): (Reader, Credential),
    known: Vec<ConnectionId>,
    (headers, only): (&HeaderMap, Option<Uuid>),
) -> Result<Response, Problem> {
    let seen = last_seen(headers)?;
    let wanted = Wanted::of(reader, known, only.map(ConnectionId))?;
    // Subscribe before reading the past, so that no event is missed in between.
    let Reader { subaccount, actor, .. } = &wanted.reader;
    let principal = actor.id.as_deref().unwrap_or_default();
    let Some(listener) = state.live.listen(subaccount, principal).await? else {
        let title = "Too many event streams are open";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", title).retry_after(10));
    };
    let past = match seen {
        Some(seen) => Some(Past::after(&state.store, subaccount, seen).await?),
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

/// The words of `include`.
fn included(words: Option<&str>) -> Result<Vec<Include>, Problem> {
    let mut errors = ValidationErrors::default();
    let mut include = Vec::new();
    for word in words.into_iter().flat_map(|words| words.split(',')) {
        match word.trim() {
            "message" => include.push(Include::Message),
            "chat" => include.push(Include::Chat),
            other => errors.parameter("include", format!("`{other}` is none of message, chat")),
        }
    }
    errors.end()?;
    Ok(include)
}

/// What a stream shows.
struct Wanted {
    reader: Reader,
    only: Option<ConnectionId>,
    /// Whether a connection is among those of the stream, cached per connection.
    known: HashMap<ConnectionId, bool>,
}

impl Wanted {
    fn of(reader: Reader, known: Vec<ConnectionId>, only: Option<ConnectionId>) -> Result<Self, Problem> {
        let known: HashMap<ConnectionId, bool> = known.into_iter().map(|id| (id, true)).collect();
        if only.is_some_and(|id| !known.contains_key(&id)) {
            return Err(super::no_such_connection());
        }
        Ok(Self { reader, only, known })
    }

    /// Whether the stream shows an activity. A connection may be newer than the stream.
    async fn shows(&mut self, state: &ApiState, entry: &Entry) -> dmrelay_store::Result<bool> {
        let row = &entry.row;
        let Some(id) = row.connection_id else { return Ok(concerns_all(row.kind.known())) };
        if self.only.is_some_and(|only| only != id) {
            return Ok(false);
        }
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let connection = state.store.connection_by_id(id).await?;
        let Reader { subaccount, agent, .. } = &self.reader;
        let is_of = |agent: &Option<AgentId>, one: &AgentId| agent.as_ref().is_none_or(|agent| agent == one);
        let own = connection.is_some_and(|one| is_of(agent, &one.agent) && one.subaccount == *subaccount);
        self.known.insert(id, own);
        Ok(own)
    }

    /// The event of an activity, if the stream shows it.
    async fn event(&mut self, state: &ApiState, entry: &Entry) -> dmrelay_store::Result<Option<LiveEvent>> {
        let is_event = entry.row.kind.known().is_some_and(|kind| LiveEventKind::of(kind).is_some());
        if !is_event || !self.shows(state, entry).await? {
            return Ok(None);
        }
        let subaccount = self.reader.subaccount.clone();
        let reading = async {
            let Some(mut event) = LiveEvent::of(entry, &state.store, &self.reader.include).await? else {
                return Ok(None);
            };
            if self.reader.include.contains(&Include::Chat)
                && let Some(chat) = entry.chat(&state.store).await?
            {
                event.chat = Some(services::chats::view(state, &self.reader.actor, chat).await?);
            }
            Ok(Some(event))
        };
        state.readers.patient(&subaccount, reading).await
    }
}

/// Whether an activity without a connection concerns all of the subaccount.
fn concerns_all(kind: Option<ActivityKind>) -> bool {
    matches!(kind, Some(ActivityKind::CallsPaused | ActivityKind::CallsResumed))
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
            let entry = match &mut self.past {
                Some(past) => {
                    let step = tokio::select! {
                        () = self.state.stop.cancelled() => return None,
                        () = tokio::time::sleep_until(self.end) => return None,
                        step = past.next(&self.state.readers) => step,
                    };
                    match step {
                        Ok(Step::Row(row)) => Arc::new(Entry::new(*row)),
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
            let event = match self.wanted.event(&self.state, &entry).await {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(err) => return ended(&err),
            };
            if let Some(event) = (self.wanted.reader.render)(&event) {
                return Some(event);
            }
        }
    }

    /// Whether the credential holds, as far as was looked lately. A database that does not answer is no reason to end.
    async fn may_go_on(&mut self) -> bool {
        if Instant::now() < self.check_at {
            return true;
        }
        self.check_at = Instant::now() + self.state.options.limits.event_credential_interval;
        let reads = self.credential.still_reads(&self.state, &self.wanted.reader.subaccount).await;
        reads.unwrap_or_else(|err| {
            tracing::warn!(error = %err, "cannot check the key of an event stream; checking again");
            true
        })
    }

    /// The next activity of the feed; `None` ends the stream.
    async fn live(&mut self) -> Option<Arc<Entry>> {
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
                Ok(entry) if self.told.remove(&entry.row.id) => {}
                Ok(entry) => return Some(entry),
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
