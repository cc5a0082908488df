//! Messages and turns.

use super::enums;
use super::format::{always, parsed, time, word_of};
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
    /// The id of the message.
    pub message_id: Uuid,
    /// The id of the chat.
    pub chat_id: Uuid,
    /// The id of the connection.
    pub connection_id: Uuid,
    /// The Instagram user in the chat.
    #[schema(example = "200000000000001")]
    pub instagram_user_id: String,
    /// Whether the customer or the business wrote it.
    #[schema(schema_with = enums::direction)]
    pub direction: String,
    /// Who wrote it.
    #[schema(schema_with = enums::author)]
    pub author: String,
    /// Who sent the message through the API.
    pub actor: Option<String>,
    /// The id of the key, or the subject of the token, that sent it.
    pub actor_id: Option<String>,
    /// The person on whose behalf it was sent, as `sentBy` of the call names them.
    pub sent_by: Option<String>,
    /// The message type: `text`, `image`, `story_reply`, `postback` …
    #[schema(example = "text")]
    pub kind: String,
    /// What it says.
    pub text: Option<String>,
    /// What is attached, as Meta describes it; with `mediaId` if a copy is kept, and `words` if it was put into words for the agent.
    #[schema(schema_with = enums::attachments_or_null)]
    pub attachments: Value,
    /// The message or story it replies to.
    #[schema(schema_with = enums::reply_to_or_null)]
    pub reply_to: Value,
    /// What was sent, if more than text: Graph's `message` object.
    #[schema(schema_with = enums::graph_message_or_null)]
    pub payload: Value,
    /// What else is known of it: reactions, edits, how the customer came, what it was made of.
    #[schema(schema_with = enums::message_metadata_or_null)]
    pub metadata: Value,
    /// Meta's message id.
    pub mid: Option<String>,
    /// How far it has come.
    #[schema(schema_with = enums::message_status)]
    pub status: String,
    /// Why it was not sent, or not at once.
    pub error: Option<MessageError>,
    /// Why nobody answers a received message, or why a reply was suppressed. `standby`: another app has the conversation;
    /// `unsupported`: Meta does not pass on messages of this type; `view_once`: it can be viewed once, in the Instagram app;
    /// `empty`: it says nothing; `unsent`: the user took back what was to be answered; `api`, `send`, `echo`, `person`: a
    /// human agent had the chat, by a takeover, a message through the API or one in the Instagram app; `runaway`: the chat
    /// was paused. Later versions may add values.
    #[schema(example = "view_once")]
    pub reason: Option<String>,
    /// Number of send attempts.
    pub attempts: i32,
    /// The turn that asked this message or that produced it.
    pub turn_id: Option<Uuid>,
    /// Meta's timestamp of the message, otherwise ours.
    #[schema(format = DateTime)]
    pub at: String,
    /// When Graph accepted it.
    #[schema(format = DateTime)]
    pub sent_at: Option<String>,
    /// When Meta's echo of the message arrived.
    #[schema(format = DateTime)]
    pub confirmed_at: Option<String>,
    /// When the customer read it.
    #[schema(format = DateTime)]
    pub read_at: Option<String>,
    /// When dmrelay stored it first.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Why a message was not sent, or not at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageError {
    /// The failure class.
    #[schema(schema_with = enums::failure_class)]
    pub class: String,
    /// Graph's error code.
    pub code: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
}

/// A turn: one question to the agent and its answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Turn)]
pub struct TurnView {
    /// The id of the turn.
    pub turn_id: Uuid,
    /// How far it has come.
    #[schema(schema_with = enums::turn_state)]
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When the agent was asked first.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it was over.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The agent's response time in milliseconds.
    pub latency_ms: Option<i64>,
    /// The failure class.
    #[schema(schema_with = enums::failure_class_or_null)]
    pub error_class: Option<String>,
    /// Why it was not sent, or not at once.
    pub error: Option<String>,
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
            metadata: metadata(parsed(row.metadata.as_ref())),
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

/// Metadata in the words of the API. `readAt` is internal: it waits for the message itself.
fn metadata(mut metadata: Value) -> Value {
    let Some(members) = metadata.as_object_mut() else { return metadata };
    members.remove("readAt");
    let mut rename = |of: &str, names: &[(&str, &str)]| {
        let Some(part) = members.get_mut(of).and_then(Value::as_object_mut) else { return };
        for (from, to) in names {
            if let Some(value) = part.remove(*from) {
                part.insert((*to).to_owned(), value);
            }
        }
    };
    rename("template", &[("id", "templateId")]);
    rename("broadcast", &[("id", "broadcastId")]);
    let of_comment =
        [("commentId", "instagramCommentId"), ("id", "commentId"), ("mediaId", "instagramMediaId")];
    rename("comment", &of_comment);
    rename("referral", &[("ad_id", "adId"), ("product_id", "productId")]);
    if members.is_empty() { Value::Null } else { metadata }
}

/// Why a message is not answered, or was suppressed, in one word.
pub(crate) fn reason_of(row: &message::Model) -> Option<String> {
    let code = row.error_code.as_deref().filter(|_| row.error_class.is_none())?;
    Some(word_of(code).to_owned())
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
