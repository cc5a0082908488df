//! The key that a subaccount has of its own at the agent's provider.

use sea_orm::entity::prelude::*;

/// One row of `provider_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_keys")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The key, sealed.
    pub key: Vec<u8>,
    /// When the row was made.
    pub created_at: i64,
    /// When the key was last changed.
    pub updated_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
