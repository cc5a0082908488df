//! How often the agent may be asked, as the workers are set.

use sea_orm::entity::prelude::*;

/// One row of `budgets`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "budgets")]
pub struct Model {
    /// Whose, and in which time: `account_hour`, ….
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// So many turns; 0 for any number.
    pub turns: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
