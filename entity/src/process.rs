//! A process that runs, or did so lately.

use dmrelay_domain::ids::WorkerId;
use sea_orm::entity::prelude::*;

/// One row of `processes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "processes")]
pub struct Model {
    /// The id it chose when it started; a worker's calls name it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkerId,
    /// `api` or `worker`.
    pub kind: String,
    /// Its version and commit.
    pub version: String,
    /// The ids of its encryption keys, separated by spaces; the first one encrypts.
    pub keys: String,
    /// When its lease ends unless it is renewed, in milliseconds.
    pub alive_until: i64,
    /// When it started, in milliseconds.
    pub started_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
