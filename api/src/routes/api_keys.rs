//! `…/api-keys`: the API keys of a subaccount.

use super::paging;
use crate::access::Tenant;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::api_key::{self, NAME_MAX};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::ApiKeyId;
use dmrelay_domain::permission::Role;
use dmrelay_store::NewApiKey;
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
    let (role, expires_at) = check(&request, &state)?;
    // Only owners get here today. If others may create keys one day, they must not grant more than they have.
    if role as u8 > tenant.role as u8 {
        return Err(Problem::forbidden());
    }
    let most = state.options.limits.api_keys_per_subaccount;
    if state.store.live_api_keys(&tenant.subaccount).await? >= most {
        return Err(too_many(most));
    }
    let (key, hash) = api_key::generate();
    let new = NewApiKey {
        subaccount: tenant.subaccount,
        role,
        name: request.name,
        hash,
        expires_at: Some(expires_at),
        created_by: tenant.actor,
    };
    let id = state.store.create_api_key(&new).await?;
    // Others may have been created since it was counted.
    if state.store.live_api_keys(&new.subaccount).await? > most {
        state.store.revoke_api_key(&new.subaccount, id, &new.created_by).await?;
        return Err(too_many(most));
    }
    let ApiKeyId(key_id) = id;
    Ok((StatusCode::CREATED, Json(ApiKeyCreated { key_id, key })))
}

fn too_many(most: u64) -> Problem {
    let title = "The subaccount has too many API keys";
    Problem::new(StatusCode::CONFLICT, "too-many-keys", title)
        .detail(format!("it has {most}; revoke one first"))
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
    if !state.store.revoke_api_key(&tenant.subaccount, id, &tenant.actor).await? {
        return Err(Problem::not_found("this subaccount has no key with that keyId"));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn least_role() -> String {
    Role::Viewer.to_string()
}

fn check(request: &CreateApiKey, state: &ApiState) -> Result<(Role, Millis), Problem> {
    let now = state.clock.now();
    let (usual, most) = (state.options.limits.api_key_lifetime, state.options.limits.api_key_max_lifetime);
    let mut errors = ValidationErrors::default();
    if !api_key::is_name(&request.name) {
        errors.at("/name", format!("must be 1 to {NAME_MAX} bytes of printable text"));
    }
    let role = Role::parse(&request.role).ok_or("must be viewer, operator, admin or owner");
    let role = errors.check("/role", role);
    let expires_at = request.expires_at.as_deref();
    let expires_at = expires_at.and_then(|text| errors.check("/expiresAt", dmrelay_views::parse_time(text)));
    if expires_at.is_some_and(|at| at <= now) {
        errors.at("/expiresAt", "must be in the future");
    }
    if expires_at.is_some_and(|at| at > now.saturating_add(millis(most))) {
        errors.at("/expiresAt", format!("must be within {} days", most.as_secs() / 86_400));
    }
    errors.end()?;
    let expires_at = expires_at.unwrap_or_else(|| now.saturating_add(millis(usual.min(most))));
    Ok((role.ok_or_else(Problem::forbidden)?, expires_at))
}
