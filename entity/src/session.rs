//! A short-lived token for one person, as its hash.

use dmrelay_domain::ids::SessionId;
use sea_orm::entity::prelude::*;

/// One row of `sessions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// The tenant.
    pub subaccount_id: String,
    /// The person, as whoever made the session knows them.
    pub subject: String,
    /// The person's name, for people.
    pub name: String,
    /// What the person may do.
    pub role: String,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// SHA-256 of the API key it was made with: it ends with that key.
    pub key_hash: Option<Vec<u8>>,
    /// Who made it.
    pub created_by: String,
    /// When the row was made, in milliseconds.
    pub created_at: i64,
    /// When it ends, in milliseconds.
    pub expires_at: i64,
    /// When it was ended before, in milliseconds.
    pub revoked_at: Option<i64>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
