//! `…/inbox-profile`: the ice breakers and the persistent menu that customers see.

use super::select;
use crate::access::Scope;
use crate::extract::{Body, Params};
use crate::problem::Problem;
use crate::services::inbox_profile::{
    self, Profile, ProfileMenu, ProfileQuestions, ProfileView, access_of_live,
};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A profile to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutInboxProfile {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
    #[serde(default)]
    #[schema(required = false)]
    ice_breakers: Vec<ProfileQuestions>,
    #[serde(default)]
    #[schema(required = false)]
    persistent_menu: Vec<ProfileMenu>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
}

/// Gets the ice breakers and the menu
///
/// What was set here, what Meta has now, and where they differ. Meta allows about 10 of these calls in 10 minutes.
#[utoipa::path(get, path = "/inbox-profile", tag = "Connection", operation_id = "getInboxProfile", params(Query),
    responses(
        (status = 200, description = "What was set, and what Meta has", body = ProfileView),
        (status = 409, description = "The agent has several accounts, or none that is connected"),
    ))]
pub(super) async fn show(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<ProfileView>, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    let access = access_of_live(&state, &connection)?;
    inbox_profile::view(&state, &connection, &access).await.map(Json)
}

/// Sets the ice breakers and the menu
///
/// Replaces both: what is omitted is removed. They are written to Meta and read back.
#[utoipa::path(put, path = "/inbox-profile", tag = "Connection", operation_id = "putInboxProfile", request_body = PutInboxProfile,
    responses(
        (status = 200, description = "They are set", body = ProfileView),
        (status = 409, description = "The agent has several accounts, or none that is connected"),
    ))]
pub(super) async fn put(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<PutInboxProfile>,
) -> Result<Json<ProfileView>, Problem> {
    let PutInboxProfile { connection_id, ice_breakers, persistent_menu } = request;
    let wanted = Profile { ice_breakers, persistent_menu };
    let connection = select(&state, &scope, connection_id).await?;
    inbox_profile::set(&state, &connection, &wanted, &scope.actor).await.map(Json)
}

/// Removes the ice breakers and the menu
///
/// At Meta too, whoever has set them.
#[utoipa::path(delete, path = "/inbox-profile", tag = "Connection", operation_id = "deleteInboxProfile", params(Query),
    responses(
        (status = 204, description = "There are none; also if there were none before"),
        (status = 409, description = "The agent has several accounts, or none that is connected"),
    ))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<StatusCode, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    inbox_profile::remove(&state, &connection, &scope.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
