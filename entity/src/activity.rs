//! What happened, for people.

use sea_orm::entity::prelude::*;

/// One row of `activities`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "activities")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The connection it belongs to.
    pub connection_id: Option<Uuid>,
    /// What it is.
    pub kind: String,
    /// Actor.
    pub actor: String,
    /// Subject.
    pub subject: Option<String>,
    /// Details.
    pub details: String,
    /// Meta's time of it, or ours.
    pub at: i64,
}

/// Nothing is joined through relations: statements that join stand in the store.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
