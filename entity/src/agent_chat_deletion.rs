//! An agent chat that is to be deleted at its provider.

use sea_orm::entity::prelude::*;

/// One row of `agent_chat_deletions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agent_chat_deletions")]
pub struct Model {
    /// The chat's id at its provider.
    #[sea_orm(primary_key, auto_increment = false)]
    pub agent_chat_id: String,
    /// The tenant.
    pub subaccount_id: String,
    /// The tenant's own key at the provider with which it was opened; none for the operator's.
    pub key_id: Option<Uuid>,
    /// When it is tried next, in milliseconds; none if it is given up.
    pub due_at: Option<i64>,
    /// How often it was tried.
    pub attempts: i32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When the row was made.
    pub created_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
