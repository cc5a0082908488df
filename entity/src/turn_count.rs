//! How often the agent was asked for an account, this hour and today.

use dmrelay_domain::ids::ConnectionId;
use sea_orm::entity::prelude::*;

/// One row of `turn_counts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "turn_counts")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// The tenant.
    pub subaccount_id: String,
    /// The hour of the last turn, since the Unix epoch.
    pub hour: i64,
    /// Turns of that hour.
    pub hour_turns: i64,
    /// The day (UTC) of the last turn, since the Unix epoch.
    pub day: i64,
    /// Turns of that day.
    pub day_turns: i64,
}

/// Belongs to no other table: it is counted apart from the connections.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
