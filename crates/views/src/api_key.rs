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
    key_id: Uuid,
    #[schema(example = "frontend")]
    name: String,
    #[schema(schema_with = enums::role)]
    role: String,
    created_by: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Last use, to the minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
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
