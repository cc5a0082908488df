//! What was used for an account on a day (UTC).

use dmrelay_domain::ids::ConnectionId;
use sea_orm::entity::prelude::*;

/// One row of `usage_days`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_days")]
pub struct Model {
    /// The connection.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// The day, since the Unix epoch.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i64,
    /// The tenant.
    pub subaccount_id: String,
    /// Its Instagram account.
    pub instagram_account_id: String,
    /// Messages of customers.
    pub received: i64,
    /// Messages of the agent that were sent.
    pub sent_by_agent: i64,
    /// Messages of people that were sent, by the API or in the Instagram app.
    pub sent_by_people: i64,
    /// Messages that were not sent, or of which nobody knows.
    pub failed: i64,
    /// Turns of the agent.
    pub turns: i64,
    /// How often the agent was asked: a turn that is tried again counts again.
    pub questions: i64,
    /// Media that were put into words.
    pub understood: i64,
    /// The tokens which that cost.
    pub understood_tokens: i64,
    /// The seconds of audio which that was charged for.
    pub understood_seconds: i64,
}

/// Belongs to no other table: it outlives what it counts.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
