//! Saved messages, with variables, as they are now.

use dmrelay_domain::ids::TemplateId;
use sea_orm::entity::prelude::*;

/// One row of `templates`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "templates")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TemplateId,
    /// The tenant.
    pub subaccount_id: String,
    /// What it is called; one of the tenant has the name.
    pub name: String,
    /// How often it was written, from 1.
    pub version: i32,
    /// Graph's `message` object, with `{{variables}}`, as JSON.
    pub message: String,
    /// When it was made, in milliseconds.
    pub created_at: i64,
    /// When it was written last.
    pub updated_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
