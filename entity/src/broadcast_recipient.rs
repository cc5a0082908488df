//! What became of a broadcast for each customer.

use crate::Word;
use dmrelay_domain::ids::{BroadcastId, ChatId, MessageId};
use dmrelay_domain::states::{RecipientState, Skipped};
use sea_orm::entity::prelude::*;

/// One row of `broadcast_recipients`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "broadcast_recipients")]
pub struct Model {
    /// The broadcast.
    #[sea_orm(primary_key, auto_increment = false)]
    pub broadcast_id: BroadcastId,
    /// The customer.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chat_id: ChatId,
    /// What became of it.
    pub state: Word<RecipientState>,
    /// Why the customer was spared, or is not yet told.
    pub reason: Option<Word<Skipped>>,
    /// The id of the message, from the first attempt on.
    pub message_id: Option<MessageId>,
    /// How often it was tried in vain.
    pub tries: i32,
    /// When it is tried, in milliseconds.
    pub due_at: i64,
    /// When its state changed last.
    pub at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
