//! A part of a connection's health, as it was found last.

use crate::Word;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::{CheckName, CheckState};
use sea_orm::entity::prelude::*;

/// One row of `connection_checks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_checks")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// What was checked.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: Word<CheckName>,
    /// What was found.
    pub state: Word<CheckState>,
    /// The same for people, with what to do.
    pub detail: String,
    /// Since when it is in this state, in milliseconds.
    pub since: i64,
    /// When it was last checked, in milliseconds.
    pub checked_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
