//! Activities as events of the stream.

use super::Entry;
use dmrelay_domain::states::ActivityKind;
use dmrelay_store::entity::{chat, message};
use dmrelay_store::{Connection, Result, Store};
use dmrelay_views::{ChatView, MessageView, enums, mode_reason, time, timed};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// The kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum LiveEventKind {
    /// A message from a user arrived.
    #[serde(rename = "message.received")]
    MessageReceived,
    /// A human agent's message waits to be sent.
    #[serde(rename = "message.queued")]
    MessageQueued,
    /// Graph accepted a message.
    #[serde(rename = "message.sent")]
    MessageSent,
    /// A message will not be sent, or whether it was sent cannot be found out (`unknown`).
    #[serde(rename = "message.failed")]
    MessageFailed,
    /// A reply is not sent: a human agent took over, the question was unsent, or an earlier part of the answer failed.
    #[serde(rename = "message.held_back")]
    MessageHeldBack,
    /// The user read everything up to this message.
    #[serde(rename = "message.read")]
    MessageRead,
    /// The user reacted to a message, or took a reaction back.
    #[serde(rename = "message.reaction")]
    MessageReaction,
    /// A voice message was transcribed, or a picture described.
    #[serde(rename = "message.understood")]
    MessageUnderstood,
    /// The user changed what a message says.
    #[serde(rename = "message.edited")]
    MessageEdited,
    /// The user took a message back: what it said is erased.
    #[serde(rename = "message.unsent")]
    MessageUnsent,
    /// The agent is asked.
    #[serde(rename = "turn.started")]
    TurnStarted,
    /// The question to the agent is over: `outcome` says how.
    #[serde(rename = "turn.ended")]
    TurnEnded,
    /// A connection changed: connected, disconnected, its state, its settings, its token, or its calls were paused or resumed. Without
    /// `connectionId` it concerns all of the subaccount.
    #[serde(rename = "connection.state")]
    ConnectionState,
    /// Who answers changed, in a chat or in the whole account.
    #[serde(rename = "chat.mode")]
    ChatMode,
    /// A chat needs a human agent's attention, or does not any more.
    #[serde(rename = "chat.flag")]
    ChatFlag,
    /// A chat was assigned, tagged or snoozed, its customer's wish about broadcasts or language changed, or a note about it was written
    /// or deleted.
    #[serde(rename = "chat.updated")]
    ChatUpdated,
    /// A customer was erased: the conversation is gone.
    #[serde(rename = "chat.erased")]
    ChatErased,
    /// A broadcast was made, has come a tenth of the way further, was paused or resumed, or is over.
    #[serde(rename = "broadcast.updated")]
    BroadcastUpdated,
    /// A comment or mention has come, or was dealt with.
    #[serde(rename = "comment.updated")]
    CommentUpdated,
    /// Something failed for good: a message, a question to the agent (given up) or an event.
    #[serde(rename = "dead_letter.opened")]
    DeadLetterOpened,
    /// A dead letter was replayed or discarded: `outcome` says which.
    #[serde(rename = "dead_letter.closed")]
    DeadLetterClosed,
}

/// What a stream adds to its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Include {
    /// The message of each `message.*` event.
    Message,
    /// The chat of each event that is about one.
    Chat,
}

/// The data of an event: ids and states. Message text only with `include`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveEvent {
    /// The id of the activity; the same if the event is repeated after a resume.
    pub(crate) id: Uuid,
    /// What has happened.
    #[serde(rename = "type")]
    pub(crate) kind: LiveEventKind,
    /// When it happened.
    #[schema(format = DateTime)]
    pub(crate) at: Option<String>,
    /// The connection it concerns.
    connection_id: Option<Uuid>,
    /// The chat it concerns.
    pub(crate) chat_id: Option<Uuid>,
    /// The message of a `message.*` event.
    message_id: Option<Uuid>,
    /// The turn of a `turn.*` event.
    turn_id: Option<Uuid>,
    /// The dead letter of a `dead_letter.*` event.
    pub(crate) dead_letter_id: Option<Uuid>,
    /// The comment or mention of `comment.updated`.
    pub(crate) comment_id: Option<Uuid>,
    /// The broadcast of `broadcast.updated`.
    pub(crate) broadcast_id: Option<Uuid>,
    /// Who did it: the name of a person or key, `user`, `agent`, `meta` or `system`.
    pub(crate) actor: String,
    /// As `actorId` of an activity.
    actor_id: Option<String>,
    /// Of `message.*`: the status the message was given; where the event is not about it, its status now.
    #[schema(schema_with = enums::message_status_or_null)]
    status: Option<String>,
    /// Of `turn.ended`: the state of the turn. Of `dead_letter.closed`: `replayed` or `discarded`.
    #[schema(schema_with = enums::outcome_or_null)]
    outcome: Option<String>,
    /// Of `message.failed`, `turn.ended` and `dead_letter.*`: the failure class.
    #[schema(schema_with = enums::failure_class_or_null)]
    failure_class: Option<String>,
    /// Of `chat.flag`: the flag that was set; null if it was cleared.
    #[schema(schema_with = enums::flag_or_null)]
    flag: Option<String>,
    /// Of `chat.mode` in a chat: who answers there now.
    pub(crate) mode: Option<LiveMode>,
    /// Of `connection.state`, and of `chat.mode` in a whole account: what the connection is like now.
    connection: Option<LiveConnection>,
    /// With `include=message`: the message as it is now; null if it is gone.
    pub(crate) message: Option<MessageView>,
    /// With `include=chat`: the chat as it is now, as the caller sees it; null if it is gone.
    pub(crate) chat: Option<ChatView>,
    /// Of which activity it tells.
    #[serde(skip)]
    pub(crate) activity: Option<ActivityKind>,
    /// Further details, as those of the activity.
    #[schema(value_type = Object)]
    details: Value,
}

/// Who answers in a chat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveMode {
    #[schema(schema_with = enums::chat_mode)]
    pub(crate) mode: String,
    /// As `modeReason` of the chat.
    #[schema(schema_with = enums::mode_reason_or_null)]
    reason: Option<String>,
    /// When the agent resumes on its own.
    #[schema(format = DateTime)]
    resume_at: Option<String>,
}

/// The state of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveConnection {
    #[schema(schema_with = enums::connection_status)]
    status: String,
    /// Why the connection is in this state, if there is more to say.
    reason: Option<String>,
    /// Whether the bot is paused for the whole account.
    bot_paused: bool,
    /// The agent that answers.
    agent_id: String,
}

impl LiveEventKind {
    /// The event's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MessageReceived => "message.received",
            Self::MessageQueued => "message.queued",
            Self::MessageSent => "message.sent",
            Self::MessageFailed => "message.failed",
            Self::MessageHeldBack => "message.held_back",
            Self::MessageRead => "message.read",
            Self::MessageReaction => "message.reaction",
            Self::MessageUnderstood => "message.understood",
            Self::MessageEdited => "message.edited",
            Self::MessageUnsent => "message.unsent",
            Self::TurnStarted => "turn.started",
            Self::TurnEnded => "turn.ended",
            Self::ConnectionState => "connection.state",
            Self::ChatMode => "chat.mode",
            Self::ChatFlag => "chat.flag",
            Self::ChatUpdated => "chat.updated",
            Self::ChatErased => "chat.erased",
            Self::BroadcastUpdated => "broadcast.updated",
            Self::CommentUpdated => "comment.updated",
            Self::DeadLetterOpened => "dead_letter.opened",
            Self::DeadLetterClosed => "dead_letter.closed",
        }
    }

    /// The event of an activity; `None` for activities a frontend need not learn of at once.
    pub(crate) fn of(kind: ActivityKind) -> Option<Self> {
        match kind {
            ActivityKind::MessageReceived => Some(Self::MessageReceived),
            ActivityKind::MessageQueued => Some(Self::MessageQueued),
            ActivityKind::MessageSent => Some(Self::MessageSent),
            ActivityKind::MessageFailed => Some(Self::MessageFailed),
            ActivityKind::MessageHeldBack => Some(Self::MessageHeldBack),
            ActivityKind::MessageRead => Some(Self::MessageRead),
            ActivityKind::MessageReaction => Some(Self::MessageReaction),
            ActivityKind::MessageUnderstood => Some(Self::MessageUnderstood),
            ActivityKind::MessageEdited => Some(Self::MessageEdited),
            ActivityKind::MessageUnsent => Some(Self::MessageUnsent),
            ActivityKind::TurnStarted => Some(Self::TurnStarted),
            ActivityKind::TurnEnded => Some(Self::TurnEnded),
            ActivityKind::Connected
            | ActivityKind::Disconnected
            | ActivityKind::ConnectionStateChanged
            | ActivityKind::SettingsChanged
            | ActivityKind::CallsPaused
            | ActivityKind::CallsResumed
            | ActivityKind::PolicyEnforced
            | ActivityKind::AgentChanged
            | ActivityKind::InboxProfileSet
            | ActivityKind::AccountMoved
            | ActivityKind::CheckChanged
            | ActivityKind::Resubscribed
            | ActivityKind::Backfilled
            | ActivityKind::TokenRefreshed
            | ActivityKind::TokenFailing => Some(Self::ConnectionState),
            ActivityKind::BotPaused | ActivityKind::BotResumed | ActivityKind::AutomationRecognized => {
                Some(Self::ChatMode)
            }
            ActivityKind::ChatFlagged | ActivityKind::ChatFlagCleared => Some(Self::ChatFlag),
            ActivityKind::OptedOut
            | ActivityKind::OptedIn
            | ActivityKind::ChatTriaged
            | ActivityKind::ChatNoteAdded
            | ActivityKind::ChatNoteRemoved => Some(Self::ChatUpdated),
            ActivityKind::CommentReceived | ActivityKind::CommentAnswered => Some(Self::CommentUpdated),
            ActivityKind::BroadcastCreated
            | ActivityKind::BroadcastProgress
            | ActivityKind::BroadcastChanged => Some(Self::BroadcastUpdated),
            ActivityKind::UserErased => Some(Self::ChatErased),
            ActivityKind::DeadLetterOpened => Some(Self::DeadLetterOpened),
            ActivityKind::DeadLetterReplayed | ActivityKind::DeadLetterDiscarded => {
                Some(Self::DeadLetterClosed)
            }
            ActivityKind::AgentAssigned
            | ActivityKind::AgentReleased
            | ActivityKind::EventUnknown
            | ActivityKind::InstructionIgnored
            | ActivityKind::ErasureRequested
            | ActivityKind::ProviderKeySet
            | ActivityKind::ProviderKeyRemoved
            | ActivityKind::MetaAppSet
            | ActivityKind::MetaAppRemoved
            | ActivityKind::NotificationTargetAdded
            | ActivityKind::NotificationTargetChanged
            | ActivityKind::NotificationTargetRemoved
            | ActivityKind::NotificationFailed
            | ActivityKind::ConnectFailed
            | ActivityKind::CustomerTextRead
            | ActivityKind::AccountErased
            | ActivityKind::TemplateSaved
            | ActivityKind::TemplateDeleted
            | ActivityKind::SessionCreated
            | ActivityKind::SessionRevoked
            | ActivityKind::ApiKeyCreated
            | ActivityKind::ApiKeyRevoked => None,
        }
    }

    fn is_of_message(self) -> bool {
        self.as_str().starts_with("message.")
    }
}

impl LiveEvent {
    /// Converts an activity into its event, if it has one. What it speaks of is read from the database where it shows that.
    pub(crate) async fn of(entry: &Entry, store: &Store, include: &[Include]) -> Result<Option<Self>> {
        let row = &entry.row;
        let activity = row.kind.known();
        let Some(kind) = activity.and_then(LiveEventKind::of) else { return Ok(None) };
        let detail = |name: &str| entry.details[name].as_str().map(str::to_owned);
        let subject = |is_about: bool| entry.subject().filter(|_| is_about);
        let is_letter = matches!(kind, LiveEventKind::DeadLetterOpened | LiveEventKind::DeadLetterClosed);
        let in_chat = entry.chat_id().is_some();
        let mode = match kind {
            LiveEventKind::ChatMode => entry.chat(store).await?.map(LiveMode::of),
            _ => None,
        };
        let connection = match kind {
            LiveEventKind::ConnectionState => entry.connection(store).await?,
            LiveEventKind::ChatMode if !in_chat => entry.connection(store).await?,
            _ => None,
        };
        let failed = entry.failed_message().filter(|_| is_letter);
        let is_of_message = kind.is_of_message() || failed.is_some();
        let message = if include.contains(&Include::Message) && is_of_message {
            shown(entry.message(store).await?, entry.chat(store).await?)
        } else {
            None
        };
        let outcome = match activity {
            Some(ActivityKind::DeadLetterReplayed) => Some("replayed".to_owned()),
            Some(ActivityKind::DeadLetterDiscarded) => Some("discarded".to_owned()),
            _ => detail("outcome").filter(|_| kind == LiveEventKind::TurnEnded),
        };
        let status = match kind {
            LiveEventKind::MessageReceived => Some("received".to_owned()),
            LiveEventKind::MessageSent => Some("sent".to_owned()),
            LiveEventKind::MessageQueued => Some("queued".to_owned()),
            LiveEventKind::MessageFailed | LiveEventKind::MessageHeldBack => detail("status"),
            _ if is_of_message => entry.message(store).await?.map(|message| message.status.to_string()),
            _ => None,
        };
        let has_class = matches!(kind, LiveEventKind::MessageFailed | LiveEventKind::TurnEnded) || is_letter;
        Ok(Some(Self {
            id: row.id.0,
            kind,
            at: time(row.at),
            connection_id: row.connection_id.map(|id| id.0),
            chat_id: entry.chat_id().map(|id| id.0),
            message_id: failed.or_else(|| subject(kind.is_of_message())),
            turn_id: subject(matches!(kind, LiveEventKind::TurnStarted | LiveEventKind::TurnEnded)),
            dead_letter_id: subject(is_letter),
            comment_id: subject(kind == LiveEventKind::CommentUpdated),
            broadcast_id: subject(kind == LiveEventKind::BroadcastUpdated),
            actor: row.actor.clone(),
            actor_id: row.actor_id.clone(),
            status,
            outcome,
            failure_class: detail("class").filter(|_| has_class),
            flag: detail("flag").filter(|_| activity == Some(ActivityKind::ChatFlagged)),
            mode,
            connection: connection.map(LiveConnection::of),
            message,
            chat: None,
            activity,
            details: timed(entry.details.clone()),
        }))
    }

    /// Why, as the activity has it.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.details["reason"].as_str()
    }

    /// The event's name.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.as_str()
    }
}

/// What remains of a message that has not come is no message.
fn shown(message: Option<&message::Model>, chat: Option<&chat::Model>) -> Option<MessageView> {
    let message = message.filter(|message| message.kind != "stub")?;
    Some(MessageView::of_user(message, &chat?.instagram_user_id))
}

impl LiveMode {
    fn of(chat: &chat::Model) -> Self {
        Self {
            mode: chat.mode.to_string(),
            reason: mode_reason(chat),
            resume_at: chat.resume_at.and_then(time),
        }
    }
}

impl LiveConnection {
    fn of(connection: &Connection) -> Self {
        Self {
            status: connection.status.to_string(),
            reason: connection.row.status_reason.clone(),
            bot_paused: connection.row.bot_paused,
            agent_id: connection.agent.to_string(),
        }
    }
}
