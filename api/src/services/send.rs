//! A human writes to a customer.

use super::{remote, takeover, templates, uploads};
use crate::idempotency;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::{Clock, Millis, SystemClock};
use dmrelay_domain::conversation::{Body, Refusal, Reply, SendByHuman};
use dmrelay_domain::event::ReplyTo;
use dmrelay_domain::ids::{ChatId, InstagramUserId, MessageId, TemplateId};
use dmrelay_domain::outgoing::{InvalidMessage, Outgoing};
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_domain::trace::TraceId;
use dmrelay_queue::{Job, QueueName};
use dmrelay_store::Connection;
use dmrelay_store::entity::{chat, message};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A validated message, which may be sent if the chat's window is open.
pub(crate) struct Wanted {
    pub(crate) to: InstagramUserId,
    pub(crate) what: What,
    /// The message that it replies to.
    pub(crate) reply_to: Option<MessageId>,
    /// The idempotency key.
    pub(crate) key: Option<String>,
    pub(crate) sent_by: Option<String>,
}

/// The mid of the message of this id, to reply to it; none if there is none in this chat, or Meta does not know it.
async fn quoted(state: &ApiState, chat: ChatId, id: MessageId) -> Result<Option<String>, Problem> {
    let row = state.store.message(id).await?;
    let row = row.filter(|row| row.chat_id == chat && !matches!(row.kind.as_str(), "stub" | "unsent"));
    Ok(row.and_then(|row| row.mid))
}

fn not_quotable() -> Problem {
    Problem::invalid("/replyTo", "must be the messageId of a message of this conversation that Instagram has")
}

/// What is wrong with a message at `pointer` of the body.
pub(crate) fn faults(pointer: &str, err: InvalidMessage) -> Problem {
    let mut errors = ValidationErrors::default();
    add_faults(pointer, err, &mut errors);
    errors.end().err().unwrap_or_else(|| Problem::invalid(pointer, "is not valid"))
}

/// Adds what is wrong with a message at `pointer` of the body.
pub(crate) fn add_faults(pointer: &str, err: InvalidMessage, errors: &mut ValidationErrors) {
    for fault in err.faults {
        errors.at(&format!("{pointer}{}", fault.pointer), fault.what);
    }
}

/// The message at `pointer` of a body: a text, or Graph's `message` object.
pub(crate) fn message_of(value: &Value, pointer: &str, errors: &mut ValidationErrors) -> Option<Outgoing> {
    let outgoing = match value {
        Value::String(text) => Outgoing::text(&dmrelay_domain::text::clean(text)),
        other => Outgoing::from_json(other),
    };
    outgoing.map_err(|err| add_faults(pointer, err, errors)).ok()
}

/// What is to be sent.
pub(crate) enum What {
    /// This message.
    Message(Outgoing),
    /// A saved message, with these values.
    Template { id: TemplateId, variables: BTreeMap<String, String> },
}

/// A message that will be sent.
pub(crate) enum Sent {
    /// It was put into the outbox.
    Now(MessageId),
    /// A call with the same idempotency key put it there.
    Before(Box<message::Model>),
}

/// Puts a message into the outbox of a chat; the agent falls silent in it.
///
/// # Errors
/// 409 if the account cannot send now, or the window is closed.
pub(crate) async fn send(
    state: &ApiState,
    (connection, chat): (&Connection, &chat::Model),
    wanted: Wanted,
    (actor, trace): (Actor, TraceId),
) -> Result<Sent, Problem> {
    check_connected(connection)?;
    let reply_to = match wanted.reply_to {
        Some(id) => Some(quoted(state, chat.id, id).await?.ok_or_else(not_quotable)?),
        None => None,
    };
    let (outgoing, template) = match &wanted.what {
        What::Message(outgoing) => (outgoing.clone(), None),
        What::Template { id, variables } => {
            let row = templates::find(state, &connection.subaccount, *id).await?;
            let outgoing = templates::filled(&row, variables, Some(chat))?;
            (outgoing, Some(json!({ "template": { "id": row.id.0, "version": row.version } }).to_string()))
        }
    };
    check_login(&outgoing, connection)?;
    remote::check(state, outgoing.as_json(), "/message").await?;
    let message = MessageId::new();
    let policy = takeover::policy(state, connection);
    let attachments = uploads::shown(state, connection, outgoing.as_json()).await?;
    let body =
        Body { reply_to: reply_to.map(as_json), metadata: template, attachments, ..Body::of(&outgoing) };
    let (idempotency_key, sent_by) = (wanted.key.clone(), wanted.sent_by.clone());
    let command = SendByHuman { message, body, idempotency_key, actor, sent_by, trace: Some(trace) };
    let applied = match state.store.send_by_human(policy, chat.id, command).await {
        // A concurrent call with the same key was faster.
        Err(err) if err.is_conflict() => {
            return match sent_before(state, connection, &wanted).await? {
                Some(before) => Ok(Sent::Before(Box::new(before))),
                None => Err(err.into()),
            };
        }
        applied => applied?,
    };
    match applied.reply {
        Reply::Refused(Refusal::WindowClosed) => return Err(window_closed(chat.window_expires_at)),
        Reply::Refused(_) => return Err(not_connected(ConnectionStatus::Disconnected)),
        _ => {}
    }
    push(state, chat.id, message, trace).await;
    tracing::info!(message_id = %message, chat = %chat.id, "message of a human agent queued");
    Ok(Sent::Now(message))
}

/// Fails for a message that the account's login cannot send.
pub(crate) fn check_login(outgoing: &Outgoing, connection: &Connection) -> Result<(), Problem> {
    if outgoing.needs_facebook_login() && connection.login != LoginKind::Facebook {
        let what = "product templates need an account connected with Facebook Login";
        return Err(Problem::invalid("/message/attachment/payload/template_type", what));
    }
    Ok(())
}

/// Fails for an account that cannot send now.
pub(crate) fn check_connected(connection: &Connection) -> Result<(), Problem> {
    match connection.status {
        ConnectionStatus::Connected => Ok(()),
        status => Err(not_connected(status)),
    }
}

fn not_connected(status: ConnectionStatus) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not-connected", "The account cannot send now")
        .with("connectionStatus", status.as_str())
}

fn window_closed(since: Option<Millis>) -> Problem {
    let title = "Meta's 24 hours since the user's last message are over";
    let problem = Problem::new(StatusCode::CONFLICT, "window-closed", title)
        .detail("the user must write again before they can be answered");
    match since.and_then(dmrelay_views::time) {
        Some(since) => problem.with("windowExpiresAt", since),
        None => problem,
    }
}

/// The message sent before with the same key.
pub(crate) async fn sent_before(
    state: &ApiState,
    connection: &Connection,
    wanted: &Wanted,
) -> Result<Option<message::Model>, Problem> {
    let Some(key) = &wanted.key else { return Ok(None) };
    let Some(before) = state.store.message_by_key(connection.id, key).await? else { return Ok(None) };
    let chat = state.store.chat(before.chat_id).await?;
    let same_user = chat.is_some_and(|chat| chat.instagram_user_id == wanted.to.as_str());
    let same_message = match &wanted.what {
        What::Message(outgoing) => {
            before.payload == Body::payload_of(outgoing) && before.text.as_deref() == outgoing.as_text()
        }
        // It may have been written anew since.
        What::Template { id, .. } => template_of(&before) == Some(id.0),
    };
    // The quoted message may have been unsent since: then its mid is no longer known.
    let replies_to = match wanted.reply_to {
        Some(id) => quoted(state, before.chat_id, id).await?.map(as_json),
        None => None,
    };
    let same_reply = match (&before.reply_to, wanted.reply_to, replies_to) {
        (Some(before), Some(_), Some(wanted)) => *before == wanted,
        (before, wanted, _) => before.is_some() == wanted.is_some(),
    };
    let same_message = same_message && same_reply && before.sent_by == wanted.sent_by;
    if same_user && same_message {
        return Ok(Some(before));
    }
    Err(idempotency::reused())
}

/// What a message replies to, as it is stored.
fn as_json(mid: String) -> String {
    serde_json::to_string(&ReplyTo::Mid(mid)).unwrap_or_default()
}

/// The template that a message was made of.
fn template_of(message: &message::Model) -> Option<Uuid> {
    let metadata: Value = serde_json::from_str(message.metadata.as_deref()?).ok()?;
    metadata["template"]["id"].as_str()?.parse().ok()
}

async fn push(state: &ApiState, chat: ChatId, message: MessageId, trace: TraceId) {
    let job = Job {
        queue: QueueName::Deliver,
        id: chat.0,
        key: format!("{chat}:{message}"),
        pushed_at_ms: SystemClock.now(),
        trace: Some(trace.to_string()),
    };
    if let Err(err) = state.queue.push(job).await {
        tracing::debug!(%chat, error = %err, "job not pushed; the poller will pick up the row");
    }
}
