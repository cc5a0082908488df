//! `…/notification-targets`: who is notified of incidents, and how.

use crate::access::Tenant;
use crate::extract::{Body, Id};
use crate::problem::Problem;
use crate::services::targets::{self, Wanted};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_store::Owner;
use dmrelay_views::{List, NotificationView, TargetView, enums};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Somebody to notify: by a webhook (`url`) or by e-mail (`email`).
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateTarget {
    /// Where signed webhooks go: `https` at a public address.
    #[schema(max_length = 2000, example = "https://hooks.example.com/dmrelay")]
    url: Option<String>,
    /// Where e-mails go, where the installation has a mail server.
    #[schema(format = Email, max_length = 2000)]
    email: Option<String>,
    /// A readable name.
    #[schema(max_length = 100, example = "Operations")]
    name: Option<String>,
    /// The kinds of incidents to be told of; all if omitted.
    #[schema(schema_with = enums::incident_kinds)]
    kinds: Option<Vec<String>>,
    /// Whether to be told when an incident is over, too.
    #[serde(default = "yes")]
    #[schema(default = true)]
    send_resolved: bool,
}

/// What to change; what is omitted stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangeTarget {
    /// Another URL, of a target that is a webhook.
    #[schema(max_length = 2000)]
    url: Option<String>,
    /// Another address, of a target that is an e-mail address.
    #[schema(format = Email, max_length = 2000)]
    email: Option<String>,
    /// Another name; an empty one removes it.
    #[schema(max_length = 100)]
    name: Option<String>,
    /// Other kinds; an empty list for all.
    #[schema(schema_with = enums::incident_kinds)]
    kinds: Option<Vec<String>>,
    /// Whether to be told when an incident is over, too.
    send_resolved: Option<bool>,
    /// Whether to be notified at all. Pending notifications are kept while a target is disabled. Once it is
    /// enabled again, it is told what is wrong at that time.
    enabled: Option<bool>,
}

/// A new target.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetCreated {
    #[serde(flatten)]
    target: TargetView,
    /// The secret that signs its webhooks (Standard Webhooks); null for e-mail. It is shown only in this response.
    #[schema(example = "whsec_…")]
    secret: Option<String>,
}

/// A new secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretRotated {
    /// The secret that signs the target's webhooks from now on. It is shown only in this response.
    #[schema(example = "whsec_…")]
    secret: String,
    /// Until when webhooks are signed with the former secret too.
    #[schema(format = DateTime)]
    former_secret_until: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Lists who is notified of incidents
#[utoipa::path(get, path = "/notification-targets", tag = "Notifications", operation_id = "listNotificationTargets",
    responses((status = 200, description = "All targets of the subaccount", body = List<TargetView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    tenant: Tenant,
) -> Result<Json<List<TargetView>>, Problem> {
    let rows = state.store.notification_targets(&Owner::Subaccount(tenant.subaccount)).await?;
    Ok(Json(List::whole(rows.iter().map(TargetView::of).collect())))
}

/// Adds somebody to notify of incidents
///
/// By a signed webhook, or by e-mail. They are told of what is wrong now, and of what goes wrong later, once for each incident.
#[utoipa::path(post, path = "/notification-targets", tag = "Notifications", operation_id = "createNotificationTarget",
    request_body = CreateTarget,
    responses(
        (status = 201, description = "The target, with the secret of its webhooks", body = TargetCreated),
        (status = 409, description = "The subaccount has too many targets"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<CreateTarget>,
) -> Result<(StatusCode, Json<TargetCreated>), Problem> {
    let CreateTarget { url, email, name, kinds, send_resolved } = request;
    let wanted = Wanted { url, email, name, kinds, resolved: Some(send_resolved), enabled: None };
    let (row, secret) = targets::create(&state, (&tenant.subaccount, &tenant.actor), wanted).await?;
    let secret = secret.map(|secret| secret.expose().clone());
    Ok((StatusCode::CREATED, Json(TargetCreated { target: TargetView::of(&row), secret })))
}

/// Changes a notification target
#[utoipa::path(patch, path = "/notification-targets/{targetId}", tag = "Notifications", operation_id = "changeNotificationTarget",
    request_body = ChangeTarget,
    responses((status = 200, description = "The target as it is now", body = TargetView)))]
pub(super) async fn change(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationTargetId>,
    Body(request): Body<ChangeTarget>,
) -> Result<Json<TargetView>, Problem> {
    let ChangeTarget { url, email, name, kinds, send_resolved, enabled } = request;
    let wanted = Wanted { url, email, name, kinds, resolved: send_resolved, enabled };
    let row = targets::change(&state, (&tenant.subaccount, &tenant.actor), id, wanted).await?;
    Ok(Json(TargetView::of(&row)))
}

/// Removes a notification target
///
/// What it was told is forgotten with it.
#[utoipa::path(delete, path = "/notification-targets/{targetId}", tag = "Notifications", operation_id = "deleteNotificationTarget",
    responses((status = 204, description = "Nobody is notified there any more")))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationTargetId>,
) -> Result<StatusCode, Problem> {
    targets::delete(&state, (&tenant.subaccount, &tenant.actor), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test notification
///
/// It is of type `test` and tried once, within a second or two. Read the notification to see what became of it.
#[utoipa::path(post, path = "/notification-targets/{targetId}/test", tag = "Notifications", operation_id = "testNotificationTarget",
    responses(
        (status = 202, description = "The notification, which is about to be sent", body = NotificationView),
        (status = 409, description = "The target is disabled"),
    ))]
pub(super) async fn test(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationTargetId>,
) -> Result<(StatusCode, Json<NotificationView>), Problem> {
    let notification = targets::test(&state, &tenant.subaccount, id).await?;
    Ok((StatusCode::ACCEPTED, Json(NotificationView::of(&notification, None))))
}

/// Replaces the secret of a webhook
///
/// For a day webhooks carry two signatures, of the new secret and of the former one, so that the receiver can change over without a
/// gap.
#[utoipa::path(post, path = "/notification-targets/{targetId}/secret", tag = "Notifications", operation_id = "rotateNotificationSecret",
    responses(
        (status = 200, description = "The new secret", body = SecretRotated),
        (status = 409, description = "The target is an e-mail address, or its secret was replaced at the same time"),
    ))]
pub(super) async fn rotate(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<NotificationTargetId>,
) -> Result<Json<SecretRotated>, Problem> {
    let (secret, until) = targets::rotate(&state, (&tenant.subaccount, &tenant.actor), id).await?;
    let former_secret_until = until.and_then(dmrelay_views::time);
    Ok(Json(SecretRotated { secret: secret.expose().clone(), former_secret_until }))
}
