//! Up to where somebody has read a chat.

use dmrelay_domain::ids::ChatId;
use sea_orm::entity::prelude::*;

/// One row of `chat_reads`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chat_reads")]
pub struct Model {
    /// The chat.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: ChatId,
    /// Who has read it: the id of an API key, or the subject of a token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub reader: String,
    /// The number of the last message that was read.
    pub seq: i64,
    /// When that was told, in milliseconds.
    pub at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
