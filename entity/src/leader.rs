//! Which process leads a service of which only one may run.

use sea_orm::entity::prelude::*;

/// One row of `leaders`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leaders")]
pub struct Model {
    /// Name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// Holder.
    pub holder: Uuid,
    /// Until, in milliseconds.
    pub until: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
