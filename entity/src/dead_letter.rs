//! What failed for good.

use sea_orm::entity::prelude::*;

/// One row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The connection it belongs to.
    pub connection_id: Option<Uuid>,
    /// The chat it belongs to.
    pub chat_id: Option<Uuid>,
    /// What it is.
    pub kind: String,
    /// The row it speaks of.
    pub reference: Uuid,
    /// Class.
    pub class: String,
    /// Error.
    pub error: String,
    /// Attempts.
    pub attempts: i32,
    /// When the row was made.
    pub created_at: i64,
    /// Replayed at, in milliseconds.
    pub replayed_at: Option<i64>,
    /// Discarded at, in milliseconds.
    pub discarded_at: Option<i64>,
    /// Who replayed or discarded it.
    pub closed_by: Option<String>,
}

/// Nothing is joined through relations: statements that join stand in the store.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
