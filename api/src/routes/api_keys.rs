//! `…/api-keys`: the API keys of a subaccount.

use super::paging;
use crate::access::Tenant;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services::keys::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::ApiKeyId;
use dmrelay_domain::permission::Role;
use dmrelay_views::{ApiKeyView, List, enums};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// A request to create an API key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateApiKey {
    /// A readable name.
    #[schema(min_length = 1, max_length = 100, example = "frontend")]
    name: String,
    /// The role; `viewer` if omitted.
    #[schema(schema_with = enums::role)]
    #[serde(default = "least_role")]
    role: String,
    /// Expiry time; at most `API_KEY_MAX_LIFETIME` from now. If omitted, `API_KEY_LIFETIME` from now (90 days).
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A new API key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyCreated {
    key_id: Uuid,
    /// The secret key. It is shown only in this response.
    #[schema(example = "dmr_…")]
    key: String,
}

/// Lists the subaccount's API keys, newest first
///
/// Includes revoked and expired keys, but never their secrets.
#[utoipa::path(get, path = "/api-keys", tag = "API keys", operation_id = "listApiKeys", params(Query),
    responses((status = 200, description = "A page of keys", body = List<ApiKeyView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Json<List<ApiKeyView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let page = state.store.api_keys(&tenant.subaccount, before, limit, skip).await?;
    Ok(Json(List::of(page, (limit, skip), ApiKeyView::of, paging::write_id)))
}

/// Creates an API key
///
/// The secret key is shown only in this response.
#[utoipa::path(post, path = "/api-keys", tag = "API keys", operation_id = "createApiKey",
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The key", body = ApiKeyCreated),
        (status = 409, description = "The subaccount has too many API keys"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<CreateApiKey>,
) -> Result<(StatusCode, Json<ApiKeyCreated>), Problem> {
    let expires_at = request.expires_at.as_deref().map(dmrelay_views::parse_time);
    let wanted = Wanted { name: request.name, role: request.role, expires_at };
    let by = (&tenant.subaccount, tenant.role, &tenant.actor);
    let (ApiKeyId(key_id), key) = keys::create(&state, by, wanted).await?;
    Ok((StatusCode::CREATED, Json(ApiKeyCreated { key_id, key })))
}

/// Revokes an API key
///
/// The key is rejected from the next call on.
#[utoipa::path(delete, path = "/api-keys/{keyId}", tag = "API keys", operation_id = "revokeApiKey",
    responses((status = 204, description = "The key is revoked; also if it was revoked before")))]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<ApiKeyId>,
) -> Result<StatusCode, Problem> {
    keys::revoke(&state, (&tenant.subaccount, &tenant.actor), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn least_role() -> String {
    Role::Viewer.to_string()
}
