//! A conversation of one Instagram user with one connection.

use crate::Word;
use dmrelay_domain::ids::{ChatId, ConnectionId};
use dmrelay_domain::states::{AgentChatStatus, ChatMode};
use dmrelay_domain::trace::TraceId;
use sea_orm::entity::prelude::*;

/// One row of `chats`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chats")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChatId,
    /// The connection it belongs to.
    pub connection_id: ConnectionId,
    /// The agent, as Retell names it.
    pub agent_id: String,
    /// Instagram user id.
    pub instagram_user_id: String,
    /// Chat status.
    pub chat_status: Word<AgentChatStatus>,
    /// Metadata.
    pub metadata: String,
    /// Username.
    pub username: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Picture.
    pub picture: Option<String>,
    /// Profile at, in milliseconds.
    pub profile_at: Option<i64>,
    /// Agent chat id.
    pub agent_chat_id: Option<String>,
    /// Agent watermark.
    pub agent_watermark: Option<String>,
    /// Who answers.
    pub mode: Word<ChatMode>,
    /// Mode reason.
    pub mode_reason: Option<String>,
    /// Resume at, in milliseconds.
    pub resume_at: Option<i64>,
    /// Flag.
    pub flag: Option<String>,
    /// Window expires at, in milliseconds.
    pub window_expires_at: Option<i64>,
    /// First unanswered at, in milliseconds.
    pub first_unanswered_at: Option<i64>,
    /// Turn due at, in milliseconds.
    pub turn_due_at: Option<i64>,
    /// Turn attempts.
    pub turn_attempts: i32,
    /// Outbox due at, in milliseconds.
    pub outbox_due_at: Option<i64>,
    /// Outbox attempts.
    pub outbox_attempts: i32,
    /// Last seq.
    pub last_seq: i64,
    /// Last message at, in milliseconds.
    pub last_message_at: i64,
    /// When the row was made.
    pub created_at: i64,
    /// When the row last changed.
    pub updated_at: i64,
    /// The agent knows the conversation up to the message of this number.
    pub agent_seq: i64,
    /// A former agent chat ended: the next question tells what was said before.
    pub recall: bool,
    /// The agent chat knows what was unsent: it is replaced as soon as nothing is under way in it.
    pub renew: bool,
    /// Until then somebody opens an agent chat, in milliseconds; 0 if nobody does.
    pub opening_until: i64,
    /// The newest note of how the customer arrived.
    pub note_seq: i64,
    /// When the customer was last told that a message cannot be read, in milliseconds.
    pub notice_at: i64,
    /// Since when the customer wants no broadcasts, in milliseconds.
    pub opted_out_at: Option<i64>,
    /// What was received until then is erased, in milliseconds; 0 for nothing.
    pub erased_at: i64,
    /// Up to the message of this number, what the agent was about to say is superseded by a human.
    pub human_seq: i64,
    /// The database was set back: the agent's record is read before anything is asked.
    pub verify: bool,
    /// When the hour began in which turns are counted, in milliseconds.
    pub hour_started_at: i64,
    /// Turns begun in that hour.
    pub hour_turns: i32,
    /// Until then the poller leaves the turn to the worker that was given it, in milliseconds.
    pub turn_reserved_until: i64,
    /// The same for the outbox.
    pub outbox_reserved_until: i64,
    /// The trace of the first message that waits for an answer, or of what is to be sent.
    pub trace_id: Option<TraceId>,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The connection it belongs to.
    #[sea_orm(
        belongs_to = "super::instagram_connection::Entity",
        from = "Column::ConnectionId",
        to = "super::instagram_connection::Column::Id"
    )]
    Connection,
    /// Its messages.
    #[sea_orm(has_many = "super::message::Entity")]
    Messages,
    /// Its turns.
    #[sea_orm(has_many = "super::turn::Entity")]
    Turns,
    /// What failed for good in it.
    #[sea_orm(has_many = "super::dead_letter::Entity")]
    DeadLetters,
}

related! {
    super::instagram_connection::Entity => Connection,
    super::message::Entity => Messages,
    super::turn::Entity => Turns,
    super::dead_letter::Entity => DeadLetters,
}

impl ActiveModelBehavior for ActiveModel {}
