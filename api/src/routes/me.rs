//! `GET …/me`: who the caller is, and what they may do.

use crate::access::Tenant;
use axum::response::Json;
use dmrelay_domain::permission::Permission;
use dmrelay_views::enums;
use serde::Serialize;
use utoipa::ToSchema;

/// The caller of a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    /// The id of the API key (`key:…`), or the subject of the session (`session:…`) or token (`jwt:…`), as activities have it in `actorId`.
    #[schema(example = "key:01a1b2c3-0000-7000-8000-00000000000a")]
    actor_id: String,
    /// The name, as activities have it in `actor`.
    #[schema(example = "key frontend")]
    actor: String,
    #[schema(example = "acme")]
    subaccount_id: String,
    /// The caller's role in this subaccount.
    #[schema(schema_with = enums::role)]
    role: &'static str,
    /// What the role includes.
    #[schema(schema_with = enums::permissions)]
    permissions: Vec<&'static str>,
}

/// Shows who the caller is, and what they may do in the subaccount
#[utoipa::path(get, path = "/me", tag = "API keys", operation_id = "getMe",
    responses((status = 200, description = "The caller", body = Me)))]
pub(super) async fn me(tenant: Tenant) -> Json<Me> {
    let may = |permission: &&Permission| tenant.role.may(**permission);
    Json(Me {
        actor_id: tenant.actor.key().to_owned(),
        actor: tenant.actor.name.clone(),
        subaccount_id: tenant.subaccount.to_string(),
        role: tenant.role.as_str(),
        permissions: Permission::ALL.iter().filter(may).map(|permission| permission.as_str()).collect(),
    })
}
