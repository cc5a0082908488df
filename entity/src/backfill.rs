//! How far Meta's copy of an account's conversations has been compared with ours.

use dmrelay_domain::ids::ConnectionId;
use sea_orm::entity::prelude::*;

/// One row of `backfills`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backfills")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// When it is looked next, in milliseconds.
    pub due_at: i64,
    /// What changed until then has been seen, in milliseconds.
    pub seen_until: i64,
    /// Why everything since `since` is to be read; none if nothing is.
    pub reason: Option<String>,
    /// From when on, in milliseconds.
    pub since: Option<i64>,
    /// Where the list of conversations goes on.
    pub cursor: Option<String>,
    /// How many conversations of it were read.
    pub threads: i64,
    /// How many of those could not be read.
    pub skipped: i64,
    /// How many messages were found that no webhook had brought.
    pub found: i64,
    /// When it was asked for.
    pub requested_at: Option<i64>,
    /// When it was done.
    pub finished_at: Option<i64>,
    /// When a message was last found, whatever the reason.
    pub last_found_at: Option<i64>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
