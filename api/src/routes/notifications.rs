//! `…/incidents` and `…/notifications`: what is wrong, and who was told.

use super::paging;
use crate::access::Tenant;
use crate::extract::{Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{NotificationId, NotificationTargetId};
use dmrelay_domain::notification::{IncidentKind, NotificationState};
use dmrelay_store::entity::notification;
use dmrelay_store::{IncidentFilter, NotificationFilter, Owner};
use dmrelay_views::{IncidentView, List, NotificationView, enums};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentQuery {
    #[param(schema_with = enums::incident_kind)]
    kind: Option<String>,
    /// Only those that last (`open`), or only those that are over (`resolved`).
    #[param(schema_with = enums::incident_state)]
    state: Option<String>,
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
pub(super) struct NotificationQuery {
    /// Only those to this target.
    target_id: Option<Uuid>,
    #[param(schema_with = enums::notification_state)]
    state: Option<String>,
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists incidents, newest first
///
/// What is wrong with the subaccount's accounts and agents, and what was.
#[utoipa::path(get, path = "/incidents", tag = "Notifications", operation_id = "listIncidents", params(IncidentQuery),
    responses((status = 200, description = "A page of incidents", body = List<IncidentView>)))]
pub(super) async fn incidents(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<IncidentQuery>,
) -> Result<Json<List<IncidentView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let kinds = IncidentKind::ALL.iter().map(|kind| kind.as_str());
    let kind = paging::word("kind", query.kind, kinds, &mut errors);
    let is_over = paging::word("state", query.state, enums::INCIDENT_STATES.into_iter(), &mut errors);
    let filter = IncidentFilter {
        owner: Some(Owner::Subaccount(tenant.subaccount)),
        kind: kind.as_deref().and_then(IncidentKind::parse),
        is_over: is_over.map(|word| word == enums::INCIDENT_STATES[1]),
        before: paging::read_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
    };
    errors.end()?;
    let page = state.store.incident_page(&filter).await?;
    Ok(Json(List::of(page, (limit, skip), IncidentView::of, paging::write_id)))
}

/// Lists notifications, newest first
///
/// Each with its attempts.
#[utoipa::path(get, path = "/notifications", tag = "Notifications", operation_id = "listNotifications", params(NotificationQuery),
    responses((status = 200, description = "A page of notifications", body = List<NotificationView>)))]
pub(super) async fn notifications(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<NotificationQuery>,
) -> Result<Json<List<NotificationView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let states = NotificationState::ALL.iter().map(|state| state.as_str());
    let of_state = paging::word("state", query.state, states, &mut errors);
    let filter = NotificationFilter {
        owner: Owner::Subaccount(tenant.subaccount),
        target: query.target_id.map(NotificationTargetId),
        state: of_state.as_deref().and_then(NotificationState::parse),
        before: paging::read_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
    };
    errors.end()?;
    let page = state.store.notifications(&filter).await?;
    let incidents = state.store.incidents_of(&page.items).await?;
    let view = |row: &notification::Model| {
        NotificationView::of(row, row.incident_id.and_then(|id| incidents.get(&id)))
    };
    Ok(Json(List::of(page, (limit, skip), view, paging::write_id)))
}

/// Shows a notification and its attempts
#[utoipa::path(get, path = "/notifications/{notificationId}", tag = "Notifications", operation_id = "getNotification",
    responses((status = 200, description = "The notification", body = NotificationView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationId>,
) -> Result<Json<NotificationView>, Problem> {
    Ok(Json(view(&state, &Owner::Subaccount(tenant.subaccount), id).await?))
}

/// Resends a notification that was given up
///
/// With as many attempts as a new one.
#[utoipa::path(post, path = "/notifications/{notificationId}/retry", tag = "Notifications", operation_id = "retryNotification",
    responses(
        (status = 202, description = "The notification, which is about to be sent", body = NotificationView),
        (status = 409, description = "It was not given up"),
    ))]
pub(super) async fn retry(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationId>,
) -> Result<(StatusCode, Json<NotificationView>), Problem> {
    let owner = Owner::Subaccount(tenant.subaccount);
    let is_retried = state.store.retry_notification(&owner, id).await?;
    let view = view(&state, &owner, id).await?;
    if !is_retried {
        let title = "The notification was not given up";
        return Err(Problem::new(StatusCode::CONFLICT, "not-failed", title)
            .detail("only one whose state is failed is sent again, and only to an enabled target"));
    }
    Ok((StatusCode::ACCEPTED, Json(view)))
}

async fn view(state: &ApiState, owner: &Owner, id: NotificationId) -> Result<NotificationView, Problem> {
    let row = state.store.notification(owner, id).await?;
    let row = row
        .ok_or_else(|| Problem::not_found("this subaccount has no notification with that notificationId"))?;
    let incidents = state.store.incidents_of(std::slice::from_ref(&row)).await?;
    Ok(NotificationView::of(&row, row.incident_id.and_then(|id| incidents.get(&id))))
}
