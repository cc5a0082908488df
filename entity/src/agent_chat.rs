//! A chat with the agent, at its provider.

use dmrelay_domain::ids::ChatId;
use sea_orm::entity::prelude::*;

/// One row of `agent_chats`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_chats")]
pub struct Model {
    /// The chat's id at its provider.
    #[sea_orm(primary_key, auto_increment = false)]
    pub agent_chat_id: String,
    /// The chat it was opened for.
    pub chat_id: ChatId,
    /// The tenant.
    pub subaccount_id: String,
    /// The tenant's own key at the provider with which it was opened; none for the operator's.
    pub key_id: Option<Uuid>,
    /// When it was replaced by a newer one, in milliseconds.
    pub replaced_at: Option<i64>,
    /// When it was opened, in milliseconds.
    pub created_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
