//! What people have written down about a chat, for one another.

use dmrelay_domain::ids::{ChatId, NoteId};
use sea_orm::entity::prelude::*;

/// One row of `chat_notes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chat_notes")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NoteId,
    /// The chat.
    pub chat_id: ChatId,
    /// The note.
    pub text: String,
    /// Who wrote it.
    pub author: String,
    /// The id of the key, or the subject of the token, of who wrote it.
    pub author_id: Option<String>,
    /// When it was written, in milliseconds.
    pub created_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
