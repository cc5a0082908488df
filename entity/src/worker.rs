//! A worker process.

use dmrelay_domain::ids::WorkerId;
use sea_orm::entity::prelude::*;

/// One row of `workers`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workers")]
pub struct Model {
    /// The id it chose when it started.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkerId,
    /// When its lease ends unless it is renewed, in milliseconds.
    pub alive_until: i64,
    /// When it started, in milliseconds.
    pub started_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
