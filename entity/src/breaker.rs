//! Whether a service may be called now.

use sea_orm::entity::prelude::*;

/// One row of `gates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gates")]
pub struct Model {
    /// What makes it unique.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Closed until, in milliseconds.
    pub closed_until: i64,
    /// Reason.
    pub reason: Option<String>,
    /// Failures.
    pub failures: i32,
    /// Probe until, in milliseconds.
    pub probe_until: i64,
    /// Last success at, in milliseconds.
    pub last_success_at: i64,
    /// When an operator last closed it, in milliseconds; 0 if never. A call that began before tells nothing new.
    pub reset_at: i64,
    /// When the row last changed.
    pub updated_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
