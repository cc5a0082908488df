//! Which subaccount an agent belongs to.

use sea_orm::entity::prelude::*;

/// One row of `agents`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agents")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The tenant.
    pub subaccount_id: String,
    /// When the row was made.
    pub created_at: i64,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The accounts for which it answers.
    #[sea_orm(has_many = "super::instagram_connection::Entity")]
    Connections,
}

related! {
    super::instagram_connection::Entity => Connections,
}

impl ActiveModelBehavior for ActiveModel {}
