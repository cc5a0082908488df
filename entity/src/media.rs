//! What customers sent besides text, and what businesses upload to send it: where Meta has it, and our copy.

use crate::Word;
use dmrelay_domain::ids::{ChatId, ConnectionId, MediaId, MessageId};
use dmrelay_domain::media::MediaState;
use sea_orm::entity::prelude::*;

/// One row of `media`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "media")]
pub struct Model {
    /// Its id, as the attachment of the message names it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MediaId,
    /// The connection it belongs to.
    pub connection_id: ConnectionId,
    /// The chat it belongs to; none for what the business has uploaded.
    pub chat_id: Option<ChatId>,
    /// The message it came with; none for the picture of the customer, and for what was uploaded.
    pub message_id: Option<MessageId>,
    /// Which attachment of the message it is, from 0.
    pub position: i32,
    /// Meta's word for it; `profile` for the picture of the customer.
    pub kind: String,
    /// Where Meta has it, until it is fetched or given up.
    pub url: Option<String>,
    /// How far our copy is.
    pub state: Word<MediaState>,
    /// What it is by its bytes.
    pub content_type: Option<String>,
    /// Its size, in bytes.
    pub bytes: Option<i64>,
    /// Whether the store has a thumbnail.
    pub has_thumbnail: bool,
    /// Why it was not fetched, at the last attempt.
    pub error: Option<String>,
    /// How often it was tried to fetch it.
    pub attempts: i32,
    /// When it is to be fetched or deleted; none if neither.
    pub due_at: Option<i64>,
    /// A worker has it until then.
    pub claimed_until: i64,
    /// When its message came, by our clock.
    pub created_at: i64,
    /// When it was stored.
    pub stored_at: Option<i64>,
    /// When it was put into words.
    pub understood_at: Option<i64>,
    /// The tokens which that cost, where the service told.
    pub tokens: Option<i32>,
    /// The seconds of audio that it was charged for, where the service told.
    pub seconds: Option<i32>,
    /// Meta's id of what was uploaded there, by which it is sent.
    pub attachment_id: Option<String>,
    /// SHA-256 of its bytes, in hex, of what was uploaded: it is uploaded once.
    pub sha256: Option<String>,
}

/// Belongs to no other table: it outlives its message until it is deleted from the store.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Its name in the store, which says neither who nor what. It follows from the ids: whatever happens between the store and the row,
    /// what is to be deleted is found.
    pub fn object(&self) -> String {
        format!("{}/{}", self.connection_id, self.id)
    }

    /// The name of its thumbnail in the store.
    pub fn thumbnail(&self) -> String {
        format!("{}.thumbnail", self.object())
    }
}
