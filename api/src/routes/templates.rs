//! `…/templates`: saved messages with variables.

use crate::access::Tenant;
use crate::extract::{Body, Id};
use crate::problem::Problem;
use crate::services::templates::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::TemplateId;
use dmrelay_views::{List, TemplateVersionView, TemplateView, enums};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Versions that are listed.
const VERSIONS: u64 = 200;

/// A message to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SaveTemplate {
    /// What it is called.
    #[schema(min_length = 1, max_length = 100, example = "Parcel sent")]
    name: String,
    /// As `message` of `/send`, with variables in any text: `{{name}}`.
    #[schema(schema_with = super::send::message_schema)]
    message: Value,
    /// When it is changed: the version that was read. Whoever changes it meanwhile is not overwritten.
    #[schema(minimum = 1)]
    version: Option<i32>,
}

/// Values to see a template with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Preview {
    /// A value for each variable.
    #[serde(default)]
    #[schema(example = json!({"name": "Ada"}))]
    variables: BTreeMap<String, String>,
}

/// A template filled in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Previewed {
    /// Graph's `message` object, as it would be sent.
    #[schema(schema_with = enums::graph_message)]
    message: Value,
}

/// Lists the saved messages, by name
#[utoipa::path(get, path = "/templates", tag = "Templates", operation_id = "listTemplates",
    responses((status = 200, description = "All templates of the subaccount", body = List<TemplateView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    tenant: Tenant,
) -> Result<Json<List<TemplateView>>, Problem> {
    let rows = state.store.templates(&tenant.subaccount).await?;
    Ok(Json(List::whole(rows.iter().map(templates::view).collect())))
}

/// Saves a message
///
/// It is sent with `templateId` and `variables` of `/send`. It must be a message that Meta takes if each variable is one letter; how long
/// values are is checked when it is sent.
#[utoipa::path(post, path = "/templates", tag = "Templates", operation_id = "createTemplate",
    request_body = SaveTemplate,
    responses(
        (status = 201, description = "The template", body = TemplateView),
        (status = 409, description = "Another one has the name, or the subaccount has too many"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<SaveTemplate>,
) -> Result<(StatusCode, Json<TemplateView>), Problem> {
    let wanted = Wanted { name: &request.name, message: &request.message };
    let row = templates::save(&state, (&tenant.subaccount, &tenant.actor), wanted, None).await?;
    Ok((StatusCode::CREATED, Json(templates::view(&row))))
}

/// Gets a saved message
#[utoipa::path(get, path = "/templates/{templateId}", tag = "Templates", operation_id = "getTemplate",
    responses((status = 200, description = "The template", body = TemplateView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<TemplateId>,
) -> Result<Json<TemplateView>, Problem> {
    Ok(Json(templates::view(&templates::find(&state, &tenant.subaccount, id).await?)))
}

/// Writes a saved message anew, as its next version
#[utoipa::path(put, path = "/templates/{templateId}", tag = "Templates", operation_id = "changeTemplate",
    request_body = SaveTemplate,
    responses(
        (status = 200, description = "The template as it is now", body = TemplateView),
        (status = 409, description = "Another one has the name, or it has another version by now"),
    ))]
pub(super) async fn change(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<TemplateId>,
    Body(request): Body<SaveTemplate>,
) -> Result<Json<TemplateView>, Problem> {
    let wanted = Wanted { name: &request.name, message: &request.message };
    let by = (&tenant.subaccount, &tenant.actor);
    let row = templates::save(&state, by, wanted, Some((id, request.version))).await?;
    Ok(Json(templates::view(&row)))
}

/// Removes a saved message
///
/// With its versions. What was sent stays as it was sent.
#[utoipa::path(delete, path = "/templates/{templateId}", tag = "Templates", operation_id = "deleteTemplate",
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<TemplateId>,
) -> Result<StatusCode, Problem> {
    templates::find(&state, &tenant.subaccount, id).await?;
    state.store.delete_template(&tenant.subaccount, id, &tenant.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what the versions of a saved message said, newest first
#[utoipa::path(get, path = "/templates/{templateId}/versions", tag = "Templates", operation_id = "listTemplateVersions",
    responses((status = 200, description = "The newest 200 versions", body = List<TemplateVersionView>)))]
pub(super) async fn versions(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<TemplateId>,
) -> Result<Json<List<TemplateVersionView>>, Problem> {
    let row = templates::find(&state, &tenant.subaccount, id).await?;
    let versions = state.store.template_versions(row.id, VERSIONS).await?;
    Ok(Json(List::whole(versions.iter().map(TemplateVersionView::of).collect())))
}

/// Shows a saved message with values
///
/// Nothing is sent. A variable without a value, or a value that is too long, is told as it would be when the template is sent.
#[utoipa::path(post, path = "/templates/{templateId}/preview", tag = "Templates", operation_id = "previewTemplate",
    request_body = Preview,
    responses((status = 200, description = "The message", body = Previewed)))]
pub(super) async fn preview(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<TemplateId>,
    Body(request): Body<Preview>,
) -> Result<Json<Previewed>, Problem> {
    let row = templates::find(&state, &tenant.subaccount, id).await?;
    let message = templates::filled(&row, &request.variables, None)?;
    Ok(Json(Previewed { message: message.as_json().clone() }))
}
