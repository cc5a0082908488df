//! Messages and turns.

use super::enums;
use super::format::{always, parsed, time};
use dmrelay_store::Listed;
use dmrelay_store::entity::{message, turn};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A message, received or sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub struct MessageView {
    message_id: Uuid,
    chat_id: Uuid,
    connection_id: Uuid,
    /// The Instagram user in the chat.
    #[schema(example = "200000000000001")]
    instagram_user_id: String,
    #[schema(schema_with = enums::direction)]
    direction: String,
    #[schema(schema_with = enums::author)]
    author: String,
    /// Who sent the message through the API.
    actor: Option<String>,
    /// The id of the key, or the subject of the token, that sent it.
    actor_id: Option<String>,
    /// The person on whose behalf it was sent, as `sentBy` of the call names them.
    sent_by: Option<String>,
    /// The message type: `text`, `image`, `story_reply`, `postback` …
    #[schema(example = "text")]
    kind: String,
    text: Option<String>,
    #[schema(value_type = Option<Vec<Value>>)]
    attachments: Value,
    /// The message or story it replies to.
    #[schema(value_type = Option<Value>)]
    reply_to: Value,
    /// What was sent, if more than text: Graph's `message` object.
    #[schema(value_type = Option<Value>)]
    payload: Value,
    /// Other metadata: reactions, referrals.
    #[schema(value_type = Option<Value>)]
    metadata: Value,
    /// Meta's message id.
    mid: Option<String>,
    #[schema(schema_with = enums::message_status)]
    status: String,
    error: Option<MessageError>,
    /// Why nobody answers a received message, or why a reply was suppressed. `standby`: another app has the conversation;
    /// `unsupported`: Meta does not pass on messages of this type; `view_once`: it can be viewed once, in the Instagram app;
    /// `empty`: it says nothing; `unsent`: the user took back what was to be answered; `api`, `send`, `echo`, `person`: a
    /// human agent had the chat, by a takeover, a message through the API or one in the Instagram app; `runaway`: the chat
    /// was paused. Later versions may add values.
    #[schema(example = "view_once")]
    reason: Option<String>,
    /// Number of send attempts.
    attempts: i32,
    /// The turn that asked this message or that produced it.
    turn_id: Option<Uuid>,
    /// Meta's timestamp of the message, otherwise ours.
    #[schema(format = DateTime)]
    at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    /// When Meta's echo of the message arrived.
    #[schema(format = DateTime)]
    confirmed_at: Option<String>,
    #[schema(format = DateTime)]
    read_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Why a message was not sent, or not at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageError {
    /// The failure class.
    #[schema(example = "window_closed")]
    class: String,
    /// Graph's error code.
    code: Option<String>,
    message: Option<String>,
}

/// A turn: one question to the agent and its answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Turn)]
pub struct TurnView {
    turn_id: Uuid,
    #[schema(schema_with = enums::turn_state)]
    state: String,
    attempts: i32,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// The agent's response time in milliseconds.
    latency_ms: Option<i64>,
    /// The failure class.
    error_class: Option<String>,
    error: Option<String>,
}

impl MessageView {
    /// The view of a message in a list.
    pub fn of(listed: &Listed) -> Self {
        Self::of_user(&listed.message, &listed.instagram_user_id)
    }

    /// The view of a message in a chat with this user.
    pub fn of_user(row: &message::Model, user: &str) -> Self {
        let error = row.error_class.as_ref().map(|class| MessageError {
            class: class.to_string(),
            code: row.error_code.clone(),
            message: row.error_message.clone(),
        });
        Self {
            reason: reason_of(row),
            message_id: row.id.0,
            chat_id: row.chat_id.0,
            connection_id: row.connection_id.0,
            instagram_user_id: user.to_owned(),
            direction: row.direction.to_string(),
            author: row.author.to_string(),
            actor: row.actor.clone(),
            actor_id: row.actor_id.clone(),
            sent_by: row.sent_by.clone(),
            kind: row.kind.clone(),
            text: row.text.clone(),
            attachments: parsed(row.attachments.as_ref()),
            reply_to: parsed(row.reply_to.as_ref()),
            payload: parsed(row.payload.as_ref()),
            metadata: parsed(row.metadata.as_ref()),
            mid: row.mid.clone(),
            status: row.status.to_string(),
            error,
            attempts: row.attempt,
            turn_id: row.turn_id.map(|id| id.0),
            at: always(row.at),
            sent_at: row.sent_at.and_then(time),
            confirmed_at: row.confirmed_at.and_then(time),
            read_at: row.read_at.and_then(time),
            created_at: always(row.created_at),
        }
    }
}

/// Why a message is not answered, or was suppressed, in one word.
pub(crate) fn reason_of(row: &message::Model) -> Option<String> {
    let code = row.error_code.as_deref().filter(|_| row.error_class.is_none())?;
    // A takeover by a message in the Instagram app names that message.
    Some(code.split(':').next().unwrap_or(code).to_owned())
}

impl TurnView {
    /// The view of a row.
    pub fn of(row: &turn::Model) -> Self {
        Self {
            turn_id: row.id.0,
            state: row.state.to_string(),
            attempts: row.attempt,
            started_at: always(row.started_at),
            finished_at: row.finished_at.and_then(time),
            latency_ms: row.latency_ms,
            error_class: row.error_class.as_ref().map(ToString::to_string),
            error: row.error.clone(),
        }
    }
}
