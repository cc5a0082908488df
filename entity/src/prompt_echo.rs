//! An echo that came within moments of the message that opened its conversation, by its text: Instagram's own, if there are
//! several.

use dmrelay_domain::ids::{ChatId, ConnectionId};
use sea_orm::entity::prelude::*;

/// One row of `prompt_echoes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "prompt_echoes")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// SHA-256 of the text.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    /// The chat.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: ChatId,
    /// Meta's id of the message.
    pub mid: String,
    /// Whether it is known to be Instagram's own.
    pub recognized: bool,
    /// When it came, in milliseconds.
    pub at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
