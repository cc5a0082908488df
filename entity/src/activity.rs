//! What happened, for people.

use crate::Word;
use dmrelay_domain::ids::{ActivityId, ConnectionId};
use dmrelay_domain::states::ActivityKind;
use sea_orm::entity::prelude::*;

/// One row of `activities`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "activities")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ActivityId,
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subaccount_id: String,
    /// The connection it belongs to.
    pub connection_id: Option<ConnectionId>,
    /// What happened.
    pub kind: Word<ActivityKind>,
    /// Who did it, by name.
    pub actor: String,
    /// The id of the key, the subject of the token, or the operating system's user.
    pub actor_id: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Details.
    pub details: String,
    /// Meta's time of it, or ours.
    pub at: i64,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The connection it belongs to.
    #[sea_orm(
        belongs_to = "super::instagram_connection::Entity",
        from = "Column::ConnectionId",
        to = "super::instagram_connection::Column::Id"
    )]
    Connection,
}

related! {
    super::instagram_connection::Entity => Connection,
}

impl ActiveModelBehavior for ActiveModel {}
