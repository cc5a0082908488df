//! What each version of a saved message said.

use dmrelay_domain::ids::TemplateId;
use sea_orm::entity::prelude::*;

/// One row of `template_versions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "template_versions")]
pub struct Model {
    /// The template.
    #[sea_orm(primary_key, auto_increment = false)]
    pub template_id: TemplateId,
    /// The version, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// What it said, as JSON.
    pub message: String,
    /// Who wrote it.
    pub author: String,
    /// When, in milliseconds.
    pub created_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
