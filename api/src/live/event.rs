//! Activities as events of the stream.

use dmrelay_domain::states::ActivityKind;
use dmrelay_store::entity::activity;
use dmrelay_views::time;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// The kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum LiveEventKind {
    /// A message from a user arrived.
    #[serde(rename = "message.received")]
    MessageReceived,
    /// Graph accepted a message.
    #[serde(rename = "message.sent")]
    MessageSent,
    /// A message will not be sent.
    #[serde(rename = "message.failed")]
    MessageFailed,
    /// A connection changed: connected, disconnected, its state, its settings, its token, or its calls were paused or resumed. Without
    /// `connectionId` it concerns all of the subaccount.
    #[serde(rename = "connection.state")]
    ConnectionState,
    /// Who answers changed, in a chat or in the whole account.
    #[serde(rename = "chat.mode")]
    ChatMode,
    /// A chat was assigned, tagged or snoozed, or a note about it was written or deleted.
    #[serde(rename = "chat.updated")]
    ChatUpdated,
    /// A customer was erased: the conversation is gone.
    #[serde(rename = "chat.erased")]
    ChatErased,
}

/// The data of an event: ids, never message text.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveEvent {
    /// The id of the activity; the same if the event is repeated after a resume.
    pub(crate) id: Uuid,
    #[serde(rename = "type")]
    kind: LiveEventKind,
    #[schema(format = DateTime)]
    at: Option<String>,
    connection_id: Option<Uuid>,
    chat_id: Option<Uuid>,
    message_id: Option<Uuid>,
    actor: String,
    /// As `actorId` of an activity.
    actor_id: Option<String>,
    #[schema(value_type = Value)]
    details: Value,
}

impl LiveEventKind {
    /// The event's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MessageReceived => "message.received",
            Self::MessageSent => "message.sent",
            Self::MessageFailed => "message.failed",
            Self::ConnectionState => "connection.state",
            Self::ChatMode => "chat.mode",
            Self::ChatUpdated => "chat.updated",
            Self::ChatErased => "chat.erased",
        }
    }

    /// The event of an activity; `None` for activities a frontend need not learn of at once.
    fn of(kind: ActivityKind) -> Option<Self> {
        match kind {
            ActivityKind::MessageReceived => Some(Self::MessageReceived),
            ActivityKind::MessageSent => Some(Self::MessageSent),
            ActivityKind::MessageFailed => Some(Self::MessageFailed),
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
            ActivityKind::ChatTriaged | ActivityKind::ChatNoteAdded | ActivityKind::ChatNoteRemoved => {
                Some(Self::ChatUpdated)
            }
            ActivityKind::UserErased => Some(Self::ChatErased),
            ActivityKind::AgentAssigned
            | ActivityKind::AgentReleased
            | ActivityKind::EventUnknown
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
            | ActivityKind::DeadLetterReplayed
            | ActivityKind::DeadLetterDiscarded
            | ActivityKind::SessionCreated
            | ActivityKind::SessionRevoked
            | ActivityKind::ApiKeyCreated
            | ActivityKind::ApiKeyRevoked => None,
        }
    }
}

impl LiveEvent {
    /// Converts an activity into its event, if it has one.
    pub(crate) fn of(row: &activity::Model) -> Option<Self> {
        let kind = LiveEventKind::of(row.kind.known()?)?;
        let details: Value = serde_json::from_str(&row.details).unwrap_or_default();
        let id = |value: &Value| value.as_str().and_then(|text| text.parse::<Uuid>().ok());
        let about_message = matches!(
            kind,
            LiveEventKind::MessageReceived | LiveEventKind::MessageSent | LiveEventKind::MessageFailed
        );
        let subject = row.subject.as_deref().and_then(|text| text.parse::<Uuid>().ok());
        Some(Self {
            id: row.id.0,
            kind,
            at: time(row.at),
            connection_id: row.connection_id.map(|id| id.0),
            chat_id: id(&details["chatId"]),
            message_id: subject.filter(|_| about_message),
            actor: row.actor.clone(),
            actor_id: row.actor_id.clone(),
            details,
        })
    }

    /// The event's name.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.as_str()
    }
}
