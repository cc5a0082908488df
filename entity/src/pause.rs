//! What the operator has paused.

use sea_orm::entity::prelude::*;

/// One row of `pauses`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pauses")]
pub struct Model {
    /// Which calls, and whose: `ask`, `send:subaccount:acme`, ….
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Why, as the operator put it.
    pub reason: Option<String>,
    /// Who paused them.
    pub actor: String,
    /// Since when, in milliseconds.
    pub since: i64,
    /// The end, in milliseconds. None: until resumed.
    pub ends_at: Option<i64>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
