//! Sessions.

use super::enums;
use super::format::always;
use dmrelay_store::entity::session;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person's session, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct SessionView {
    session_id: Uuid,
    #[schema(example = "ada@example.com")]
    subject: String,
    #[schema(example = "Ada Byron")]
    name: String,
    #[schema(schema_with = enums::role)]
    role: String,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

impl SessionView {
    /// The view of a row.
    pub fn of(row: &session::Model) -> Self {
        Self {
            session_id: row.id.0,
            subject: row.subject.clone(),
            name: row.name.clone(),
            role: row.role.clone(),
            created_by: row.created_by.clone(),
            created_at: always(row.created_at),
            expires_at: always(row.expires_at),
        }
    }
}
