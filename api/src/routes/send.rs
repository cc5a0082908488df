//! `POST …/send`: a person writes to a customer. The message goes through the same outbox as the agent's,
//! and the agent falls silent in that chat.

use super::select;
use crate::access::Scope;
use crate::extract::Body;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_domain::ids::{InstagramUserId, MessageId};
use dmrelay_domain::states::{Author, ConnectionStatus, Direction, MessageStatus};
use dmrelay_domain::window::{self, Window};
use dmrelay_instagram::Outgoing;
use dmrelay_queue::{Job, QueueName};
use dmrelay_store::entity::message;
use dmrelay_store::{Connection, LockedChat, NewMessage};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The longest idempotency key.
const KEY_MAX: usize = 255;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Send {
    to: String,
    message: Value,
    connection_id: Option<Uuid>,
}

/// A message that may be sent, once the chat's window allows it.
struct Wanted {
    to: InstagramUserId,
    outgoing: Outgoing,
    key: Option<String>,
}

pub(super) async fn handle(
    State(state): State<ApiState>,
    Extension(scope): Extension<Scope>,
    headers: HeaderMap,
    Body(request): Body<Send>,
) -> Result<Response, Problem> {
    let wanted = check(&request, &headers)?;
    let connection = select(&state, &scope, request.connection_id).await?;
    if connection.status != ConnectionStatus::Connected {
        return Err(Problem::new(StatusCode::CONFLICT, "not-connected", "The account cannot send now")
            .with("connectionStatus", connection.status.as_str()));
    }
    if let Some(before) = sent_before(&state, &connection, &wanted).await? {
        return Ok(accepted(before.id, before.chat_id, &before.status));
    }
    let Some(chat) = state.store.chat_of_user(connection.id.0, &wanted.to).await? else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "unknown-recipient",
            "This user has not written to the account",
        )
        .detail("Instagram delivers messages only to users who wrote first"));
    };
    let tx = state.store.begin().await?;
    let Some(mut locked) = tx.lock_chat(chat.id.into()).await? else {
        return Err(Problem::not_found("the chat is gone"));
    };
    check_window(&connection, &locked)?;
    let hours = connection.settings.takeover_hours.unwrap_or(state.options.takeover_hours);
    let pause = Duration::from_hours(hours.into());
    let new = describe(&wanted, &locked);
    let sent = tx.send_by_human(&mut locked, new, pause).await;
    let id = match sent {
        // The same key came twice at a time; the other one was faster.
        Err(err) if err.is_conflict() => {
            drop(tx);
            return match sent_before(&state, &connection, &wanted).await? {
                Some(before) => Ok(accepted(before.id, before.chat_id, &before.status)),
                None => Err(err.into()),
            };
        }
        sent => sent?,
    };
    tx.commit().await?;
    push(&state, &locked).await;
    tracing::info!(message_id = %id, chat = %locked.id(), "message of a person queued");
    Ok(accepted(id.0, locked.row.id, MessageStatus::Queued.as_str()))
}

fn check(request: &Send, headers: &HeaderMap) -> Result<Wanted, Problem> {
    let to = InstagramUserId::parse(&request.to).map_err(|err| Problem::invalid("/to", err.to_string()))?;
    let outgoing = match &request.message {
        Value::String(text) => Outgoing::text(&dmrelay_domain::text::clean(text)),
        other => Outgoing::from_json(other),
    };
    let text = request.message.is_string();
    let outgoing = outgoing.map_err(|err| {
        let pointer = if text { "/message".to_owned() } else { format!("/message{}", err.pointer) };
        Problem::invalid(&pointer, err.what)
    })?;
    let key = headers.get("idempotency-key").map(|value| value.to_str().map(str::to_owned)).transpose();
    let key = key.ok().filter(|key| key.as_deref().is_none_or(|key| (1..=KEY_MAX).contains(&key.len())));
    let key = key.ok_or_else(|| {
        Problem::invalid("Idempotency-Key", format!("must be 1 to {KEY_MAX} visible ASCII characters"))
    })?;
    Ok(Wanted { to, outgoing, key })
}

/// The message sent before under the same key.
async fn sent_before(
    state: &ApiState,
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Option<message::Model>, Problem> {
    let Some(key) = &wanted.key else { return Ok(None) };
    let Some(before) = state.store.message_by_key(connection.id, key).await? else { return Ok(None) };
    let chat = state.store.chat(before.chat_id.into()).await?;
    let same_user = chat.is_some_and(|chat| chat.instagram_user_id == wanted.to.as_str());
    let same_message =
        before.payload == payload(wanted) && before.text.as_deref() == wanted.outgoing.as_text();
    if same_user && same_message {
        return Ok(Some(before));
    }
    let title = "This Idempotency-Key was used for another message";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title))
}

fn check_window(connection: &Connection, chat: &LockedChat) -> Result<(), Problem> {
    let human_agent = connection.settings.human_agent.unwrap_or(false);
    match window::at(chat.row.window_expires_at, chat.now) {
        Window::Open => Ok(()),
        Window::HumanAgent if human_agent => Ok(()),
        Window::HumanAgent | Window::Closed => {
            let title = "Meta's 24 hours since the user's last message are over";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "window-closed", title)
                .detail("the user must write again before they can be answered"))
        }
    }
}

fn describe(wanted: &Wanted, chat: &LockedChat) -> NewMessage {
    let mut new = NewMessage::new(Direction::Outbound, Author::Human, MessageStatus::Queued);
    new.text = wanted.outgoing.as_text().map(str::to_owned);
    wanted.outgoing.kind().clone_into(&mut new.kind);
    new.payload = payload(wanted);
    new.at = chat.now;
    new.received_at = chat.now;
    new.idempotency_key.clone_from(&wanted.key);
    new
}

/// What is more than a plain text, as JSON.
fn payload(wanted: &Wanted) -> Option<String> {
    let json = wanted.outgoing.as_json();
    let plain =
        json.as_object().is_some_and(|fields| fields.len() == 1) && wanted.outgoing.as_text().is_some();
    (!plain).then(|| json.to_string())
}

async fn push(state: &ApiState, chat: &LockedChat) {
    let job = Job {
        queue: QueueName::Deliver,
        id: chat.row.id,
        key: format!("{}:{}", chat.id(), chat.row.dispatch_no + 1),
        pushed_at_ms: SystemClock.now(),
        trace: None,
    };
    if let Err(err) = state.queue.push(job).await {
        tracing::debug!(chat = %chat.id(), error = %err, "job not pushed, the sweep will find the row");
    }
}

fn accepted(id: Uuid, chat: Uuid, status: &str) -> Response {
    let body = json!({ "messageId": MessageId::from(id), "chatId": chat, "status": status });
    (StatusCode::ACCEPTED, Json(body)).into_response()
}
