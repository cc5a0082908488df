//! What people have decided about a chat: who looks after it, and until when it is out of sight.

use dmrelay_domain::ids::{ChatId, ConnectionId};
use sea_orm::entity::prelude::*;

/// One row of `chat_triage`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chat_triage")]
pub struct Model {
    /// The chat.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: ChatId,
    /// Its connection.
    pub connection_id: ConnectionId,
    /// Who looks after it, as the frontend names people.
    pub assignee: Option<String>,
    /// Until when it is in no folder, in milliseconds.
    pub snoozed_until: Option<i64>,
    /// The number of the last message when that was decided: a later one ends it.
    pub snoozed_seq: i64,
    /// The customer's language, as a tag of BCP 47.
    pub language: Option<String>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
