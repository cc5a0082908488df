//! `…/meta-apps`: the Meta apps that a subaccount has of its own, for people to log in with.

use crate::access::Tenant;
use crate::connect::session;
use crate::extract::Body;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::LoginKind;
use dmrelay_store::NewMetaApp;
use dmrelay_store::entity::meta_app;
use dmrelay_vault::Place;
use dmrelay_views::{List, enums, time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A Meta app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutMetaApp {
    /// The app's id: with Instagram Login the *Instagram* app id.
    #[schema(pattern = "^[0-9]{1,32}$", example = "1100000000000001")]
    app_id: String,
    /// The app's secret; it also signs its webhooks.
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    app_secret: Secret<String>,
    /// The token you choose for Meta's webhook verification handshake.
    #[schema(value_type = String, min_length = 8, max_length = 512)]
    webhook_verification_token: Secret<String>,
    /// The configuration of Facebook Login for Business, in place of the operator's scopes.
    #[schema(pattern = "^[0-9]{1,32}$")]
    config_id: Option<String>,
}

/// A Meta app; its secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MetaApp)]
pub(super) struct MetaAppView {
    #[schema(schema_with = enums::login_kind)]
    login_kind: String,
    #[schema(example = "1100000000000001")]
    app_id: String,
    config_id: Option<String>,
    /// The redirect URI to register at Meta.
    #[schema(example = "https://dm.example.com/oauth/instagram/callback")]
    redirect_uri: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl MetaAppView {
    fn of(state: &ApiState, row: &meta_app::Model) -> Result<Self, Problem> {
        Ok(Self {
            login_kind: row.login_kind.to_string(),
            app_id: row.app_id.clone(),
            config_id: row.config_id.clone(),
            redirect_uri: session::redirect(state)?.into(),
            updated_at: time(row.updated_at),
        })
    }
}

/// Lists the subaccount's own Meta apps
///
/// For a login without one, people log in with the operator's.
#[utoipa::path(get, path = "/meta-apps", tag = "Meta apps", operation_id = "listMetaApps",
    responses((status = 200, description = "At most one for each login", body = List<MetaAppView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    tenant: Tenant,
) -> Result<Json<List<MetaAppView>>, Problem> {
    let rows = state.store.meta_apps(&tenant.subaccount).await?;
    let views = rows.iter().map(|row| MetaAppView::of(&state, row)).collect::<Result<_, _>>()?;
    Ok(Json(List::whole(views)))
}

/// Sets the subaccount's own Meta app for a login
///
/// From then on people log in with it. Accounts that are connected already keep the app they were connected with.
#[utoipa::path(put, path = "/meta-apps/{loginKind}", tag = "Meta apps", operation_id = "putMetaApp", request_body = PutMetaApp,
    responses((status = 200, description = "The app is in use", body = MetaAppView)))]
pub(super) async fn put(
    State(state): State<ApiState>,
    tenant: Tenant,
    Path((_, login)): Path<(String, String)>,
    Body(request): Body<PutMetaApp>,
) -> Result<Json<MetaAppView>, Problem> {
    let login = parse(&login)?;
    let mut errors = ValidationErrors::default();
    if request.config_id.is_some() && login == LoginKind::Instagram {
        errors.at("/configId", "is for Facebook Login only");
    }
    errors.end()?;
    let id = Uuid::now_v7();
    let seal = |column: &'static str, text: &Secret<String>| {
        state.vault.seal(Place { table: "meta_apps", column, row: id }, text.expose().as_bytes())
    };
    let new = NewMetaApp {
        id,
        subaccount: tenant.subaccount.clone(),
        login,
        app_id: request.app_id,
        app_secret: seal("app_secret", &request.app_secret),
        verify_token: seal("verify_token", &request.webhook_verification_token),
        config_id: request.config_id,
    };
    state.store.put_meta_app(&new, &tenant.actor).await?;
    let row = state.store.meta_app(&tenant.subaccount, login).await?;
    let row = row.ok_or_else(|| Problem::not_found("the app was removed at the same time"))?;
    Ok(Json(MetaAppView::of(&state, &row)?))
}

/// Removes the subaccount's own Meta app for a login
///
/// From then on people log in with the operator's, if there is one.
#[utoipa::path(delete, path = "/meta-apps/{loginKind}", tag = "Meta apps", operation_id = "deleteMetaApp",
    responses((status = 204, description = "The subaccount has no app of its own for this login; also if it had none")))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    tenant: Tenant,
    Path((_, login)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let login = parse(&login)?;
    state.store.delete_meta_app(&tenant.subaccount, login, &tenant.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(login: &str) -> Result<LoginKind, Problem> {
    LoginKind::parse(login).ok_or_else(|| Problem::parameter("loginKind", "must be instagram or facebook"))
}
