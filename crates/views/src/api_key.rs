//! API keys.

use super::enums;
use super::format::{always, time};
use dmrelay_store::entity::api_key;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    /// The id of the key.
    pub key_id: Uuid,
    /// Its name.
    #[schema(example = "frontend")]
    pub name: String,
    /// Its role.
    #[schema(schema_with = enums::role)]
    pub role: String,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Last use, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was revoked; null if it was not.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

impl ApiKeyView {
    /// The view of a row.
    pub fn of(row: &api_key::Model) -> Self {
        Self {
            key_id: row.id.0,
            name: row.name.clone(),
            role: row.role.clone(),
            created_by: row.created_by.clone(),
            created_at: always(row.created_at),
            last_used_at: row.last_used_at.and_then(time),
            expires_at: row.expires_at.and_then(time),
            revoked_at: row.revoked_at.and_then(time),
        }
    }
}
