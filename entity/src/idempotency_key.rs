//! A write that a client may repeat, and what it was answered.

use sea_orm::entity::prelude::*;

/// One row of `idempotency_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// Who wrote.
    pub principal: String,
    /// The client's key.
    pub key: String,
    /// SHA-256 of what was asked.
    pub fingerprint: Vec<u8>,
    /// The HTTP status it was answered with; none while it is under way.
    pub status: Option<i32>,
    /// The answer, sealed.
    pub response: Option<Vec<u8>>,
    /// Until then nobody else may run it, in milliseconds.
    pub locked_until: i64,
    /// When the row was made.
    pub created_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
