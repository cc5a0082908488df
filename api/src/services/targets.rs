//! Who is notified of incidents, and how.

use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::http::StatusCode;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Channel, IncidentKind};
use dmrelay_domain::secret::Secret;
use dmrelay_domain::text::is_printable;
use dmrelay_store::entity::{notification, notification_target};
use dmrelay_store::{NewTarget, Owner, TargetChange};
use dmrelay_vault::Place;
use std::time::Duration;

/// Maximum length of a URL, and of an e-mail address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_000;

/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// How long the former secret signs as well after it was replaced.
const SECRET_OVERLAP: Duration = Duration::from_hours(24);

/// Minimum time between two tests of a target.
const TEST_INTERVAL: Duration = Duration::from_secs(10);

/// Who changes a target.
pub(crate) type By<'a> = (&'a SubaccountId, &'a Actor);

/// What a target is to be, or to become; what is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Where webhooks go.
    pub(crate) url: Option<String>,
    /// Where e-mails go.
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    /// Words of the kinds of incidents; none for all.
    pub(crate) kinds: Option<Vec<String>>,
    /// Whether to tell when an incident is over, too.
    pub(crate) resolved: Option<bool>,
    pub(crate) enabled: Option<bool>,
}

/// Adds a target. With a webhook comes the secret that signs what it is sent, which nobody can see again.
///
/// # Errors
/// 422 if something of it is not valid; 409 if there are too many.
pub(crate) async fn create(
    state: &ApiState,
    (subaccount, actor): By<'_>,
    wanted: Wanted,
) -> Result<(notification_target::Model, Option<Secret<String>>), Problem> {
    let mut errors = ValidationErrors::default();
    let (channel, address) = match (wanted.url, wanted.email) {
        (Some(url), None) => (Channel::Webhook, errors.check("/url", checked_url(state, &url))),
        (None, Some(email)) => (Channel::Email, errors.check("/email", checked_email(state, &email))),
        (Some(_), Some(_)) => {
            errors.at("/email", "cannot be given together with url; create two targets");
            (Channel::Webhook, None)
        }
        (None, None) => {
            errors.at("/url", "is required, unless email is given");
            (Channel::Webhook, None)
        }
    };
    let name = wanted
        .name
        .map(|name| errors.check("/name", checked_name(&name)).unwrap_or_default())
        .filter(|name| !name.is_empty());
    let kinds = wanted.kinds.and_then(|kinds| checked_kinds(&kinds, &mut errors));
    errors.end()?;
    let id = NotificationTargetId::new();
    let secret = (channel == Channel::Webhook).then(dmrelay_notify::new_secret);
    let new = NewTarget {
        id,
        owner: Owner::Subaccount(subaccount.clone()),
        channel,
        // Without one, `errors` is not empty.
        address: address.unwrap_or_default(),
        name,
        secret: secret.as_ref().map(|secret| seal(state, id, "secret", secret)),
        kinds,
        resolved: wanted.resolved.unwrap_or(true),
    };
    let most = state.options.limits.notification_targets_per_subaccount;
    let Some(row) = state.store.create_notification_target(new, most, actor).await? else {
        let title = "The subaccount has too many notification targets";
        return Err(Problem::new(StatusCode::CONFLICT, "too-many-targets", title)
            .detail(format!("it has {most}; remove one first")));
    };
    Ok((row, secret))
}

/// Changes a target, and gives it as it is now.
///
/// # Errors
/// 404 if the subaccount has no such target; 422 if something of the change is not valid.
pub(crate) async fn change(
    state: &ApiState,
    (subaccount, actor): By<'_>,
    id: NotificationTargetId,
    wanted: Wanted,
) -> Result<notification_target::Model, Problem> {
    let row = find(state, subaccount, id).await?;
    let mut errors = ValidationErrors::default();
    let is = |channel: Channel| row.channel == channel;
    let address = match (wanted.url, wanted.email) {
        (None, None) => None,
        (Some(url), None) if is(Channel::Webhook) => errors.check("/url", checked_url(state, &url)),
        (None, Some(email)) if is(Channel::Email) => errors.check("/email", checked_email(state, &email)),
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
        name: wanted.name.map(|name| errors.check("/name", checked_name(&name)).unwrap_or_default()),
        kinds: wanted.kinds.map(|kinds| checked_kinds(&kinds, &mut errors).unwrap_or_default()),
        resolved: wanted.resolved,
        enabled: wanted.enabled,
    };
    errors.end()?;
    let owner = Owner::Subaccount(subaccount.clone());
    let row = state.store.change_notification_target((&owner, id), change, actor).await?;
    row.ok_or_else(no_such_target)
}

/// Removes a target, with what it was told.
///
/// # Errors
/// 404 if the subaccount has no such target.
pub(crate) async fn delete(
    state: &ApiState,
    (subaccount, actor): By<'_>,
    id: NotificationTargetId,
) -> Result<(), Problem> {
    let owner = Owner::Subaccount(subaccount.clone());
    let is_gone = state.store.delete_notification_target(&owner, id, actor).await?;
    if is_gone { Ok(()) } else { Err(no_such_target()) }
}

/// Sends a target a test, which is about to be delivered.
///
/// # Errors
/// 404 if the subaccount has no such target; 409 if it is disabled; 429 if it was tested lately.
pub(crate) async fn test(
    state: &ApiState,
    subaccount: &SubaccountId,
    id: NotificationTargetId,
) -> Result<notification::Model, Problem> {
    let row = find(state, subaccount, id).await?;
    if !row.enabled {
        return Err(Problem::new(StatusCode::CONFLICT, "target-disabled", "The target is disabled")
            .detail("enable it first"));
    }
    let limits = (TEST_INTERVAL, state.options.limits.notification_tests_per_day);
    let notification = state.store.create_test_notification(&row, limits).await?;
    notification.ok_or_else(|| {
        let title = "The target was tested a moment ago, or too often today";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "tested-lately", title)
            .retry_after(TEST_INTERVAL.as_secs())
    })
}

/// Replaces the secret of a webhook. Gives the new one, and until when the former one signs as well.
///
/// # Errors
/// 404 if the subaccount has no such target; 409 if it has no secret, or somebody replaces it at the same time.
pub(crate) async fn rotate(
    state: &ApiState,
    (subaccount, actor): By<'_>,
    id: NotificationTargetId,
) -> Result<(Secret<String>, Option<Millis>), Problem> {
    let row = find(state, subaccount, id).await?;
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
    let sealed = (seal(state, id, "secret", &secret), seal(state, id, "former_secret", &former));
    if !state.store.rotate_notification_secret(&row, sealed, SECRET_OVERLAP, actor).await? {
        return Err(conflict("it was replaced at the same time"));
    }
    Ok((secret, find(state, subaccount, id).await?.former_until))
}

async fn find(
    state: &ApiState,
    subaccount: &SubaccountId,
    id: NotificationTargetId,
) -> Result<notification_target::Model, Problem> {
    let owner = Owner::Subaccount(subaccount.clone());
    state.store.notification_target(&owner, id).await?.ok_or_else(no_such_target)
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

/// Where webhooks go.
pub(crate) fn checked_url(state: &ApiState, url: &str) -> Result<String, String> {
    if url.len() > ADDRESS_BYTES_MAX {
        return Err(format!("must have at most {ADDRESS_BYTES_MAX} bytes"));
    }
    state.notifier.receiver(url).map(String::from)
}

/// Where e-mails go.
pub(crate) fn checked_email(state: &ApiState, email: &str) -> Result<String, String> {
    if !state.notifier.has_mail() {
        return Err("cannot be used: this installation has no mail server (SMTP_URL)".to_owned());
    }
    dmrelay_notify::parse_address(email).map(|()| email.to_owned())
}

/// What a target is called.
pub(crate) fn checked_name(name: &str) -> Result<String, String> {
    let name = name.trim().to_owned();
    if name.chars().count() > NAME_CHARS_MAX || !name.chars().all(is_printable) {
        return Err(format!(
            "must have at most {NAME_CHARS_MAX} characters, and none that controls a terminal"
        ));
    }
    Ok(name)
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
