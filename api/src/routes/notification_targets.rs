//! `…/notification-targets`: who is notified of incidents, and how.

use crate::access::Tenant;
use crate::extract::{Body, Id};
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::{Channel, IncidentKind};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::text::is_printable;
use dmrelay_store::entity::notification_target;
use dmrelay_store::{NewTarget, Owner, TargetChange};
use dmrelay_vault::Place;
use dmrelay_views::{List, NotificationView, TargetView, enums};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Maximum length of a URL, and of an e-mail address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_000;

/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// How long the former secret signs as well after it was replaced.
const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Minimum time between two tests of a target.
const TEST_INTERVAL: Duration = Duration::from_secs(10);

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
    let mut errors = ValidationErrors::default();
    let (channel, address) = match (request.url, request.email) {
        (Some(url), None) => (Channel::Webhook, checked_url(&state, &url, &mut errors)),
        (None, Some(email)) => (Channel::Email, checked_email(&state, email, &mut errors)),
        (Some(_), Some(_)) => {
            errors.at("/email", "cannot be given together with url; create two targets");
            (Channel::Webhook, None)
        }
        (None, None) => {
            errors.at("/url", "is required, unless email is given");
            (Channel::Webhook, None)
        }
    };
    let name = request.name.map(|name| checked_name(&name, &mut errors)).filter(|name| !name.is_empty());
    let kinds = request.kinds.and_then(|kinds| checked_kinds(&kinds, &mut errors));
    errors.end()?;
    let id = NotificationTargetId::new();
    let secret = (channel == Channel::Webhook).then(dmrelay_notify::new_secret);
    let new = NewTarget {
        id,
        owner: Owner::Subaccount(tenant.subaccount),
        channel,
        // Without one, `errors` is not empty.
        address: address.unwrap_or_default(),
        name,
        secret: secret.as_ref().map(|secret| seal(&state, id, "secret", secret)),
        kinds,
        resolved: request.send_resolved,
    };
    let most = state.options.limits.notification_targets_per_subaccount;
    let Some(row) = state.store.create_notification_target(new, most, &tenant.actor).await? else {
        let title = "The subaccount has too many notification targets";
        return Err(Problem::new(StatusCode::CONFLICT, "too-many-targets", title)
            .detail(format!("it has {most}; remove one first")));
    };
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
    let owner = Owner::Subaccount(tenant.subaccount);
    let row = find(&state, &owner, id).await?;
    let mut errors = ValidationErrors::default();
    let is = |channel: Channel| row.channel == channel;
    let address = match (request.url, request.email) {
        (None, None) => None,
        (Some(url), None) if is(Channel::Webhook) => checked_url(&state, &url, &mut errors),
        (None, Some(email)) if is(Channel::Email) => checked_email(&state, email, &mut errors),
        (Some(_), _) if !is(Channel::Webhook) => {
            errors.at("/url", "is for webhooks only; this target is an e-mail address");
            None
        }
        _ => {
            errors.at("/email", "is for e-mail only; this target is a webhook");
            None
        }
    };
    let change = TargetChange {
        address,
        name: request.name.map(|name| checked_name(&name, &mut errors)),
        kinds: request.kinds.map(|kinds| checked_kinds(&kinds, &mut errors).unwrap_or_default()),
        resolved: request.send_resolved,
        enabled: request.enabled,
    };
    errors.end()?;
    let row = state.store.change_notification_target((&owner, id), change, &tenant.actor).await?;
    Ok(Json(TargetView::of(&row.ok_or_else(no_such_target)?)))
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
    let owner = Owner::Subaccount(tenant.subaccount);
    if !state.store.delete_notification_target(&owner, id, &tenant.actor).await? {
        return Err(no_such_target());
    }
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
    let row = find(&state, &Owner::Subaccount(tenant.subaccount), id).await?;
    if !row.enabled {
        return Err(Problem::new(StatusCode::CONFLICT, "target-disabled", "The target is disabled")
            .detail("enable it first"));
    }
    let limits = (TEST_INTERVAL, state.options.limits.notification_tests_per_day);
    let Some(notification) = state.store.create_test_notification(&row, limits).await? else {
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "tested-lately",
            "The target was tested a moment ago, or too often today",
        )
        .retry_after(TEST_INTERVAL.as_secs()));
    };
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
    let owner = Owner::Subaccount(tenant.subaccount);
    let row = find(&state, &owner, id).await?;
    let conflict = |detail: &str| {
        Problem::new(StatusCode::CONFLICT, "no-secret-to-replace", "The secret cannot be replaced")
            .detail(detail)
    };
    let Some(sealed) = &row.secret else { return Err(conflict("e-mails are not signed")) };
    let NotificationTargetId(key) = id;
    let place = Place { table: "notification_targets", column: "secret", row: key };
    let former = state.vault.open_text(place, sealed).map_err(|err| {
        tracing::error!(target_id = %id, error = %err, "cannot decrypt the secret of a notification target");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The secret cannot be read")
    })?;
    let secret = dmrelay_notify::new_secret();
    let sealed = (seal(&state, id, "secret", &secret), seal(&state, id, "former_secret", &former));
    if !state.store.rotate_notification_secret(&row, sealed, SECRET_OVERLAP, &tenant.actor).await? {
        return Err(conflict("it was replaced at the same time"));
    }
    let row = find(&state, &owner, id).await?;
    let former_secret_until = row.former_until.and_then(dmrelay_views::time);
    Ok(Json(SecretRotated { secret: secret.expose().clone(), former_secret_until }))
}

async fn find(
    state: &ApiState,
    owner: &Owner,
    id: NotificationTargetId,
) -> Result<notification_target::Model, Problem> {
    state.store.notification_target(owner, id).await?.ok_or_else(no_such_target)
}

fn no_such_target() -> Problem {
    Problem::not_found("this subaccount has no notification target with that targetId")
}

fn seal(
    state: &ApiState,
    NotificationTargetId(row): NotificationTargetId,
    column: &'static str,
    secret: &Secret<String>,
) -> Vec<u8> {
    state.vault.seal(Place { table: "notification_targets", column, row }, secret.expose().as_bytes())
}

fn checked_url(state: &ApiState, url: &str, errors: &mut ValidationErrors) -> Option<String> {
    if url.len() > ADDRESS_BYTES_MAX {
        errors.at("/url", format!("must have at most {ADDRESS_BYTES_MAX} bytes"));
        return None;
    }
    errors.check("/url", state.notifier.receiver(url)).map(String::from)
}

fn checked_email(state: &ApiState, email: String, errors: &mut ValidationErrors) -> Option<String> {
    if !state.notifier.has_mail() {
        errors.at("/email", "cannot be used: this installation has no mail server (SMTP_URL)");
        return None;
    }
    errors.check("/email", dmrelay_notify::parse_address(&email)).map(|()| email)
}

fn checked_name(name: &str, errors: &mut ValidationErrors) -> String {
    let name = name.trim().to_owned();
    if name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_printable) {
        let what =
            format!("must have at most {NAME_CHARS_MAX} characters, and none that controls a terminal");
        errors.at("/name", what);
    }
    name
}

/// The kinds, each once; `None` for all.
fn checked_kinds(words: &[String], errors: &mut ValidationErrors) -> Option<Vec<IncidentKind>> {
    for (n, word) in words.iter().enumerate() {
        if IncidentKind::parse(word).is_none() {
            let all: Vec<&str> = IncidentKind::ALL.iter().map(|kind| kind.as_str()).collect();
            errors.at(&format!("/kinds/{n}"), format!("must be one of {}", all.join(", ")));
        }
    }
    let named = |kind: &IncidentKind| words.iter().any(|word| word == kind.as_str());
    let kinds: Vec<IncidentKind> = IncidentKind::ALL.iter().copied().filter(named).collect();
    Some(kinds).filter(|kinds| !kinds.is_empty())
}
