//! `…/broadcasts`: messages for many customers.

use super::{paging, select};
use crate::access::Scope;
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services::broadcasts::{self, Wanted};
use crate::state::ApiState;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{BroadcastId, ConnectionId, TemplateId};
use dmrelay_domain::states::{BroadcastState, RecipientState};
use dmrelay_store::Connection;
use dmrelay_store::entity::broadcast::Model;
use dmrelay_views::{AudienceView, BroadcastView, List, ReachView, RecipientView, enums};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// A message for many customers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateBroadcast {
    /// What it is called, for people.
    #[schema(min_length = 1, max_length = 100, example = "Summer sale")]
    name: String,
    /// Whom it is for.
    #[serde(default)]
    audience: AudienceView,
    /// As `message` of `/send`, with variables in any text: `{{name}}`.
    #[schema(schema_with = super::send::message_schema)]
    message: Option<Value>,
    /// A saved message, in place of `message`.
    template_id: Option<Uuid>,
    /// Values for the variables. `name` and `username` are the customer's where they are known, whatever stands here.
    #[serde(default)]
    #[schema(example = json!({"code": "SUMMER"}))]
    variables: BTreeMap<String, String>,
    /// When it begins; at once without it.
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    /// Messages a minute; 60 by default (`BROADCAST_PER_MINUTE`).
    #[schema(minimum = 1)]
    per_minute: Option<u32>,
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
}

/// Whom a broadcast would be for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PreviewBroadcast {
    /// Whom it is for.
    #[serde(default)]
    audience: AudienceView,
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
}

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

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecipientQuery {
    /// Only customers in this state.
    #[param(schema_with = enums::recipient_state)]
    state: Option<String>,
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// The connections of the agent.
async fn accounts(state: &ApiState, scope: &Scope) -> Result<Vec<Connection>, Problem> {
    Ok(state.store.connections(&scope.subaccount, Some(&scope.agent)).await?)
}

/// A broadcast of the agent, and the connection it is sent with.
async fn find(state: &ApiState, scope: &Scope, id: BroadcastId) -> Result<(Connection, Model), Problem> {
    let all = accounts(state, scope).await?;
    let ids: Vec<ConnectionId> = all.iter().map(|connection| connection.id).collect();
    let row = state.store.broadcast(&ids, id).await?.ok_or_else(broadcasts::missing)?;
    let connection = all.into_iter().find(|connection| connection.id == row.connection_id);
    Ok((connection.ok_or_else(broadcasts::missing)?, row))
}

/// Makes a broadcast
///
/// It is sent to everybody of the audience whose window is open, one after the other, and only in conversations in which nobody is
/// answering: those are looked at again for an hour. Who wrote STOP is spared for good. Broadcasts of one account follow one another.
#[utoipa::path(post, path = "/broadcasts", tag = "Broadcasts", operation_id = "createBroadcast",
    request_body = CreateBroadcast,
    responses(
        (status = 201, description = "The broadcast", body = BroadcastView),
        (status = 409, description = "The account cannot send now, or the agent has several accounts"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<CreateBroadcast>,
) -> Result<(StatusCode, Json<BroadcastView>), Problem> {
    let connection = select(&state, &scope, request.connection_id).await?;
    let wanted = Wanted {
        id: BroadcastId::new(),
        name: request.name,
        audience: request.audience,
        message: request.message,
        template: request.template_id.map(TemplateId),
        variables: request.variables,
        starts_at: request.starts_at,
        per_minute: request.per_minute,
    };
    let made = broadcasts::create(&state, &connection, wanted, &scope.actor).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Counts the customers that a broadcast would reach now
///
/// Nothing is sent.
#[utoipa::path(post, path = "/broadcasts/preview", tag = "Broadcasts", operation_id = "previewBroadcast",
    request_body = PreviewBroadcast,
    responses((status = 200, description = "How many, and why others would be spared", body = ReachView)))]
pub(super) async fn preview(
    State(state): State<ApiState>,
    scope: Scope,
    Body(request): Body<PreviewBroadcast>,
) -> Result<Json<ReachView>, Problem> {
    let connection = select(&state, &scope, request.connection_id).await?;
    let reach = broadcasts::reach(&state, &connection, &request.audience).await?;
    Ok(Json(ReachView::from(&reach)))
}

/// Lists broadcasts, newest first
#[utoipa::path(get, path = "/broadcasts", tag = "Broadcasts", operation_id = "listBroadcasts", params(Query),
    responses((status = 200, description = "A page of broadcasts", body = List<BroadcastView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<BroadcastView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let ids = super::listed(&state, &scope, None).await?;
    let page = state.store.broadcasts(&ids, (before, limit, skip)).await?;
    Ok(Json(List::of(page, (limit, skip), |row| BroadcastView::of(row, None), paging::write_id)))
}

/// Gets a broadcast, with how far it has come
#[utoipa::path(get, path = "/broadcasts/{broadcastId}", tag = "Broadcasts", operation_id = "getBroadcast",
    responses((status = 200, description = "The broadcast", body = BroadcastView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<BroadcastId>,
) -> Result<Json<BroadcastView>, Problem> {
    let (_, row) = find(&state, &scope, id).await?;
    Ok(Json(broadcasts::shown(&state, &row).await?))
}

/// Lists what became of a broadcast for each customer
#[utoipa::path(get, path = "/broadcasts/{broadcastId}/recipients", tag = "Broadcasts",
    operation_id = "listBroadcastRecipients", params(RecipientQuery),
    responses((status = 200, description = "A page of customers", body = List<RecipientView>)))]
pub(super) async fn recipients(
    State(state): State<ApiState>,
    scope: Scope,
    Path((_, _, id)): Path<(String, String, String)>,
    Params(query): Params<RecipientQuery>,
) -> Result<Json<List<RecipientView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    let id = errors.check_parameter("broadcastId", id.parse().map_err(|_| "must be a UUID"));
    let wanted = query.state.as_deref().and_then(|word| {
        errors.check_parameter("state", RecipientState::parse(word).ok_or("is no state of a recipient"))
    });
    errors.end()?;
    let (_, row) = find(&state, &scope, id.unwrap_or_default()).await?;
    let page = state.store.recipients(row.id, wanted, (before, limit, skip)).await?;
    Ok(Json(List::of(page, (limit, skip), RecipientView::of, paging::write_id)))
}

async fn change(
    state: &ApiState,
    scope: &Scope,
    id: BroadcastId,
    to: BroadcastState,
) -> Result<Json<BroadcastView>, Problem> {
    let (connection, _) = find(state, scope, id).await?;
    Ok(Json(broadcasts::change(state, &connection, (id, to), &scope.actor).await?))
}

/// Pauses a broadcast
///
/// What is on its way is still sent.
#[utoipa::path(post, path = "/broadcasts/{broadcastId}/pause", tag = "Broadcasts", operation_id = "pauseBroadcast",
    responses(
        (status = 200, description = "The broadcast", body = BroadcastView),
        (status = 409, description = "It is over"),
    ))]
pub(super) async fn pause(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<BroadcastId>,
) -> Result<Json<BroadcastView>, Problem> {
    change(&state, &scope, id, BroadcastState::Paused).await
}

/// Resumes a paused broadcast where it was
#[utoipa::path(post, path = "/broadcasts/{broadcastId}/resume", tag = "Broadcasts", operation_id = "resumeBroadcast",
    responses(
        (status = 200, description = "The broadcast", body = BroadcastView),
        (status = 409, description = "It is not paused"),
    ))]
pub(super) async fn resume(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<BroadcastId>,
) -> Result<Json<BroadcastView>, Problem> {
    change(&state, &scope, id, BroadcastState::Scheduled).await
}

/// Ends a broadcast for good
///
/// What is on its way is still sent.
#[utoipa::path(post, path = "/broadcasts/{broadcastId}/cancel", tag = "Broadcasts", operation_id = "cancelBroadcast",
    responses(
        (status = 200, description = "The broadcast", body = BroadcastView),
        (status = 409, description = "It is over"),
    ))]
pub(super) async fn cancel(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<BroadcastId>,
) -> Result<Json<BroadcastView>, Problem> {
    change(&state, &scope, id, BroadcastState::Cancelled).await
}
