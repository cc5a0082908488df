//! Incidents, who is notified of them, and what they were told.

use super::enums;
use super::format::{always, time};
use dmrelay_domain::notification::{Attempt, Channel, IncidentKind};
use dmrelay_store::entity::{incident, notification, notification_target};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that is wrong, or was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Incident)]
pub struct IncidentView {
    incident_id: Uuid,
    /// What it is about.
    #[schema(schema_with = enums::incident_kind)]
    pub kind: String,
    /// The kind in words.
    #[schema(example = "The account must be reconnected")]
    pub title: Option<&'static str>,
    /// What was found.
    #[schema(example = "Meta rejects the token of @acme (190/460).")]
    pub message: String,
    /// What to do.
    #[schema(
        example = "Connect the account again. Messages are kept until then, and answered as far as Meta's window allows."
    )]
    pub advice: Option<&'static str>,
    /// The connection it concerns; null if it concerns the whole subaccount.
    connection_id: Option<Uuid>,
    #[schema(example = "17841400000000001")]
    instagram_account_id: Option<String>,
    /// The handle; null if Meta does not tell it.
    pub username: Option<String>,
    /// When it began; earlier than when it was noticed, where that is known.
    #[schema(format = DateTime)]
    pub since: String,
    /// When it was over; null while it lasts.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl IncidentView {
    /// The view of a row.
    pub fn of(row: &incident::Model) -> Self {
        let kind = row.kind.known();
        Self {
            incident_id: row.id.0,
            kind: row.kind.to_string(),
            title: kind.map(IncidentKind::title),
            message: row.detail.clone(),
            advice: kind.map(IncidentKind::advice),
            connection_id: row.connection_id.map(|id| id.0),
            instagram_account_id: row.instagram_account_id.clone(),
            username: row.username.clone(),
            since: always(row.since),
            ended_at: row.ended_at.and_then(time),
        }
    }
}

/// Somebody who is notified of incidents.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NotificationTarget)]
pub struct TargetView {
    /// The id of the target.
    pub target_id: Uuid,
    /// How they are notified.
    #[schema(schema_with = enums::notification_channel)]
    pub channel: String,
    /// Where webhooks go; null for e-mail.
    #[schema(example = "https://hooks.example.com/dmrelay")]
    pub url: Option<String>,
    /// Where e-mails go; null for a webhook.
    #[schema(example = "ops@example.com")]
    pub email: Option<String>,
    /// A readable name.
    #[schema(example = "Operations")]
    pub name: Option<String>,
    /// The kinds of incidents it is told of; null for all.
    #[schema(schema_with = enums::incident_kinds_or_null)]
    pub kinds: Option<Vec<&'static str>>,
    /// Whether it is also told when an incident is over.
    send_resolved: bool,
    /// Whether they are notified now.
    pub enabled: bool,
    /// Why dmrelay disabled it; null if it did not.
    #[schema(example = "the receiver answered with 410")]
    pub disabled_reason: Option<String>,
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl TargetView {
    /// The view of a row, without its secret.
    pub fn of(row: &notification_target::Model) -> Self {
        let address = |channel: Channel| (row.channel == channel).then(|| row.address.clone());
        Self {
            target_id: row.id.0,
            channel: row.channel.to_string(),
            url: address(Channel::Webhook),
            email: address(Channel::Email),
            name: row.name.clone(),
            kinds: row.kinds().map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect()),
            send_resolved: row.resolved,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason.clone(),
            created_by: row.created_by.clone(),
            created_at: always(row.created_at),
            updated_at: always(row.updated_at),
        }
    }
}

/// What one target is told.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Notification)]
pub struct NotificationView {
    /// Also the `webhook-id` of the webhook, and part of the `Message-ID` of the e-mail.
    pub notification_id: Uuid,
    /// The id of the target.
    pub target_id: Uuid,
    /// What it is about.
    #[serde(rename = "type")]
    #[schema(schema_with = enums::notification_type)]
    pub kind: String,
    /// Whether it is pending, delivered, or given up.
    #[schema(schema_with = enums::notification_state)]
    pub state: String,
    /// The incident; null for a test.
    pub incident: Option<IncidentView>,
    /// The attempts so far, oldest first; the last 30.
    pub attempts: Vec<AttemptView>,
    /// When it is tried next; null if it was delivered or given up.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was delivered or given up.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
}

/// An attempt to deliver a notification.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NotificationAttempt)]
pub struct AttemptView {
    #[schema(format = DateTime)]
    at: String,
    /// Duration in milliseconds.
    #[schema(minimum = 0)]
    took_ms: u64,
    /// The HTTP status of the receiver, or the SMTP code of the mail server; null without an answer.
    #[schema(example = 503)]
    pub status: Option<u16>,
    /// Why it failed; null if it did not.
    #[schema(example = "the receiver answered with 503")]
    pub error: Option<String>,
}

impl NotificationView {
    /// The view of a row and its incident.
    pub fn of(row: &notification::Model, incident: Option<&incident::Model>) -> Self {
        let attempt = |attempt: Attempt| AttemptView {
            at: always(attempt.at),
            took_ms: attempt.took_ms,
            status: attempt.status,
            error: attempt.error,
        };
        Self {
            notification_id: row.id.0,
            target_id: row.target_id.0,
            kind: row.kind.to_string(),
            state: row.state.to_string(),
            incident: incident.map(IncidentView::of),
            attempts: row.attempts_made().into_iter().map(attempt).collect(),
            next_attempt_at: time(row.due_at).filter(|_| row.finished_at.is_none()),
            created_at: always(row.created_at),
            finished_at: row.finished_at.and_then(time),
        }
    }
}
