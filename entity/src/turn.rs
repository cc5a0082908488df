//! A question to the agent and its answer.

use crate::Word;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, ConnectionId, TurnId, WorkerId};
use dmrelay_domain::states::TurnState;
use dmrelay_domain::trace::TraceId;
use sea_orm::entity::prelude::*;

/// One row of `turns`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "turns")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TurnId,
    /// The connection it belongs to.
    pub connection_id: ConnectionId,
    /// The chat it belongs to.
    pub chat_id: ChatId,
    /// Message ids.
    pub message_ids: String,
    /// Asked hash.
    pub asked_hash: Vec<u8>,
    /// Watermark.
    pub watermark: Option<String>,
    /// Agent chat id.
    pub agent_chat_id: Option<String>,
    /// Rollovers.
    pub rollovers: i32,
    /// Its state.
    pub state: Word<TurnState>,
    /// Attempt.
    pub attempt: i32,
    /// Deadline, in milliseconds.
    pub deadline: i64,
    /// When the customer wrote the first of its messages, by Meta's timestamp, in milliseconds.
    pub written_at: i64,
    /// When the webhook of the first of its messages arrived, in milliseconds.
    pub received_at: i64,
    /// Started at, in milliseconds.
    pub started_at: i64,
    /// Finished at, in milliseconds.
    pub finished_at: Option<i64>,
    /// Latency ms.
    pub latency_ms: Option<i64>,
    /// The class of the last failure.
    pub error_class: Option<Word<FailureClass>>,
    /// Error.
    pub error: Option<String>,
    /// The number of the newest message it asks.
    pub asked_seq: i64,
    /// The worker whose call is under way.
    pub worker: Option<WorkerId>,
    /// How often its outcome was looked up after the deadline without learning it.
    pub lookups: i32,
    /// A digest of the agent's record of the answer when it was last looked at before the deadline.
    pub seen: Option<String>,
    /// Why nobody waits for its answer any more.
    pub withdrawn: Option<String>,
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
    /// Its messages.
    #[sea_orm(has_many = "super::message::Entity")]
    Messages,
}

related! {
    super::instagram_connection::Entity => Connection,
    super::chat::Entity => Chat,
    super::message::Entity => Messages,
}

impl ActiveModelBehavior for ActiveModel {}
