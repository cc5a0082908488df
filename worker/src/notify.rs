//! Delivers notifications: each row is claimed for one attempt, made, and its outcome recorded. Not by way of the queue: an outage of
//! Redis must not keep anybody from being told of what it causes.

use crate::Context;
use crate::rounds::Rounds;
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::{Attempt, Channel, ConcernedAccount, NotificationType};
use dmrelay_domain::retry;
use dmrelay_domain::secret::Secret;
use dmrelay_notify::{Incident, Next, Notification, Undelivered};
use dmrelay_store::entity::{incident, notification_target};
use dmrelay_store::{AttemptOutcome, ClaimedNotification};
use dmrelay_vault::{Place, SealError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Time beside the attempt itself, after which another worker may take a notification.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Delivers what is due, until `shutdown`. Attempts under way are finished.
pub(crate) async fn run(ctx: Arc<Context>, shutdown: CancellationToken) {
    let at_a_time = usize::from(ctx.options.worker.incidents.notification_concurrency);
    let lease = ctx.notifier.timeout() + LEASE_MARGIN;
    // Nothing wakes it: the database tells each second.
    let rounds = Rounds { what: "notifications", at_a_time, woken: &Notify::new() };
    let claim = |free| ctx.store.claim_notifications(lease, free);
    let attempt = |one| {
        let ctx = ctx.clone();
        async move { attempt(&ctx, &one).await }
    };
    rounds.run(&ctx, shutdown, claim, attempt).await;
}

/// Makes one attempt, and records its outcome.
async fn attempt(ctx: &Context, claimed: &ClaimedNotification) {
    let ClaimedNotification { row, target, .. } = claimed;
    let began = Instant::now();
    let outcome = deliver(ctx, claimed).await;
    let took = began.elapsed();
    let attempt = Attempt {
        at: ctx.database_now(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        status: outcome.as_ref().map_or_else(|err| err.status, |status| Some(*status)),
        error: outcome.as_ref().err().map(|err| shortened(&err.what)),
    };
    let (next, result) = match &outcome {
        Ok(_) => (AttemptOutcome::Delivered, "delivered"),
        Err(err) => after(ctx, claimed, err),
    };
    // Whoever tests a target sees what becomes of it.
    let counted = if row.kind == NotificationType::Test { "test" } else { result };
    ctx.metrics.notifications.with_label_values(&[target.channel.as_str(), counted]).inc();
    let took_ms = attempt.took_ms;
    match &outcome {
        Ok(status) => {
            tracing::info!(notification = %row.id, target = %target.id, status, took_ms, "notification delivered");
        }
        Err(err) => {
            let attempts = row.attempts;
            tracing::warn!(notification = %row.id, target = %target.id, attempts, result, took_ms, error = %err, "notification not delivered");
        }
    }
    if let Err(err) = ctx.store.record_attempt(claimed, attempt, &next).await {
        // The claim expires, and it is delivered again: receivers tell by its id.
        tracing::warn!(notification = %row.id, error = %err, "cannot record an attempt to notify");
    }
}

/// What becomes of a notification after a failed attempt.
fn after(ctx: &Context, claimed: &ClaimedNotification, err: &Undelivered) -> (AttemptOutcome, &'static str) {
    let attempts = u32::try_from(claimed.row.attempts).unwrap_or(u32::MAX);
    let is_last = attempts >= ctx.options.worker.incidents.notification_attempts
        || claimed.row.kind == NotificationType::Test;
    let delay = retry::NOTIFICATIONS.part_of(attempts, rand::random_range(0.5..1.0));
    let wait = match err.next {
        Next::Gone => return (AttemptOutcome::Disable(err.what.clone()), "failed"),
        Next::Retry => delay,
        Next::RetryAfter(wait) => delay.max(wait.min(retry::NOTIFICATIONS.cap)),
        Next::GiveUp => return (AttemptOutcome::GiveUp, "failed"),
    };
    if is_last { (AttemptOutcome::GiveUp, "failed") } else { (AttemptOutcome::Retry(wait), "retry") }
}

async fn deliver(ctx: &Context, claimed: &ClaimedNotification) -> Result<u16, Undelivered> {
    let ClaimedNotification { row, target, incident } = claimed;
    let later = |what: &str| Undelivered::retry(what);
    let kind = row.kind.known().ok_or_else(|| later("of a kind that this version does not know"))?;
    let told = incident.as_ref().map(told).transpose().map_err(later)?;
    if told.is_none() && kind != NotificationType::Test {
        return Err(Undelivered::never("its incident was deleted"));
    }
    let at = match (kind, &told) {
        (NotificationType::Opened, Some(incident)) => incident.since,
        (NotificationType::Resolved, Some(incident)) => incident.ended_at.unwrap_or(row.created_at),
        _ => row.created_at,
    };
    let notification = Notification { id: row.id, kind, at, incident: told };
    match target.channel.known() {
        Some(Channel::Webhook) => {
            let secrets = secrets(ctx, target)
                .map_err(|err| Undelivered::retry(format!("cannot decrypt the secret: {err}")))?;
            let now = ctx.database_now();
            ctx.notifier.send_webhook(&target.address, &secrets, &notification, now).await
        }
        Some(Channel::Email) => ctx.notifier.send_mail(&target.address, &notification).await,
        None => Err(later("of a channel that this version does not know")),
    }
}

/// The secrets that sign: the one of now, and for a while the one before it.
fn secrets(ctx: &Context, target: &notification_target::Model) -> Result<Vec<Secret<String>>, SealError> {
    let former_until = target.former_until.unwrap_or(0);
    let former = target.former_secret.as_ref().filter(|_| former_until > ctx.database_now());
    let NotificationTargetId(id) = target.id;
    let open = |(column, sealed): (&'static str, &Vec<u8>)| {
        ctx.vault.open_text(Place { table: "notification_targets", column, row: id }, sealed)
    };
    let now = target.secret.as_ref().map(|sealed| ("secret", sealed));
    now.into_iter().chain(former.map(|sealed| ("former_secret", sealed))).map(open).collect()
}

fn told(row: &incident::Model) -> Result<Incident, &'static str> {
    let account = row.connection_id.zip(row.instagram_account_id.clone());
    Ok(Incident {
        id: row.id,
        kind: row.kind.known().ok_or("about something that this version does not know")?,
        subaccount: Some(row.subaccount_id.clone()).filter(|id| !id.is_empty()),
        account: account.map(|(connection, instagram_account_id)| ConcernedAccount {
            connection,
            instagram_account_id,
            username: row.username.clone(),
        }),
        detail: row.detail.clone(),
        since: row.since,
        ended_at: row.ended_at,
    })
}

/// Errors are stored with the attempts.
fn shortened(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

/// The longest error that is stored, in characters.
const ERROR_CHARS_MAX: usize = 300;
