//! Of whom nothing is taken in any more that was received until a time.

use dmrelay_domain::ids::ConnectionId;
use sea_orm::entity::prelude::*;

/// One row of `erased_users`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erased_users")]
pub struct Model {
    /// A digest of the Instagram user's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_key: Uuid,
    /// The connection of the tenant that erased the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    /// When the user was erased, in milliseconds.
    pub at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
