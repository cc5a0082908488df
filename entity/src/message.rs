//! A message, received or to be sent.

use crate::Word;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, ConnectionId, MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_domain::trace::TraceId;
use sea_orm::entity::prelude::*;

/// One row of `messages`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// The connection it belongs to.
    pub connection_id: ConnectionId,
    /// The chat it belongs to.
    pub chat_id: ChatId,
    /// Seq.
    pub seq: i64,
    /// From or to the Instagram user.
    pub direction: Word<Direction>,
    /// Who wrote it.
    pub author: Word<Author>,
    /// Mid.
    pub mid: Option<String>,
    /// What it is found by in its connection: a digest of `mid`.
    pub mid_key: Option<Uuid>,
    /// What it is.
    pub kind: String,
    /// The text.
    pub text: Option<String>,
    /// Attachments.
    pub attachments: Option<String>,
    /// Reply to.
    pub reply_to: Option<String>,
    /// Payload.
    pub payload: Option<String>,
    /// Metadata.
    pub metadata: Option<String>,
    /// Needs answer.
    pub needs_answer: bool,
    /// Turn id.
    pub turn_id: Option<TurnId>,
    /// Part.
    pub part: Option<i32>,
    /// Its state.
    pub status: Word<MessageStatus>,
    /// The class of the last failure.
    pub error_class: Option<Word<FailureClass>>,
    /// Error code.
    pub error_code: Option<String>,
    /// Error message.
    pub error_message: Option<String>,
    /// Attempt.
    pub attempt: i32,
    /// Deadline, in milliseconds.
    pub deadline: Option<i64>,
    /// Meta's time of it, or ours.
    pub at: i64,
    /// Received at, in milliseconds.
    pub received_at: i64,
    /// Started at, in milliseconds.
    pub started_at: Option<i64>,
    /// Sent at, in milliseconds.
    pub sent_at: Option<i64>,
    /// Confirmed at, in milliseconds.
    pub confirmed_at: Option<i64>,
    /// Read at, in milliseconds.
    pub read_at: Option<i64>,
    /// Idempotency key.
    pub idempotency_key: Option<String>,
    /// Who sent it through the API.
    pub actor: Option<String>,
    /// The id of the key, or the subject of the token, that sent it.
    pub actor_id: Option<String>,
    /// The person on whose behalf, by name.
    pub sent_by: Option<String>,
    /// When the row was made.
    pub created_at: i64,
    /// The worker whose send is under way.
    pub worker: Option<WorkerId>,
    /// How often its outcome was looked up after the deadline without learning it.
    pub lookups: i32,
    /// The trace it belongs to.
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
    /// The chat it belongs to.
    #[sea_orm(belongs_to = "super::chat::Entity", from = "Column::ChatId", to = "super::chat::Column::Id")]
    Chat,
    /// The turn it answers, if the agent wrote it.
    #[sea_orm(belongs_to = "super::turn::Entity", from = "Column::TurnId", to = "super::turn::Column::Id")]
    Turn,
}

related! {
    super::instagram_connection::Entity => Connection,
    super::chat::Entity => Chat,
    super::turn::Entity => Turn,
}

impl ActiveModelBehavior for ActiveModel {}
