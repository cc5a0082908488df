//! An API key, as its hash.

use dmrelay_domain::ids::ApiKeyId;
use sea_orm::entity::prelude::*;

/// One row of `api_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// The tenant.
    pub subaccount_id: String,
    /// Role.
    pub role: String,
    /// Name.
    pub name: String,
    /// Hash.
    pub hash: Vec<u8>,
    /// When the row was made.
    pub created_at: i64,
    /// Last used at, in milliseconds.
    pub last_used_at: Option<i64>,
    /// Expires at, in milliseconds.
    pub expires_at: Option<i64>,
    /// Revoked at, in milliseconds.
    pub revoked_at: Option<i64>,
    /// Who made it.
    pub created_by: Option<String>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
