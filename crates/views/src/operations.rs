//! Activities and dead letters.

use super::enums;
use super::format::{always, time, timed};
use dmrelay_store::entity::{activity, dead_letter};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// An activity log entry: who did what, and when.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Activity)]
pub struct ActivityView {
    /// The id.
    pub activity_id: Uuid,
    /// What happened.
    #[schema(schema_with = enums::activity_kind)]
    pub kind: String,
    /// `key <name>`, `jwt <subject>`, `command line`, `agent`, `user`, `person` (in the Instagram app), `meta` or `system`.
    #[schema(example = "key frontend")]
    pub actor: String,
    /// The actor's id: `key:<id>`, `jwt:<subject>`, or `os:<user>@<host>` at the command line; null for `agent`, `user`,
    /// `person`, `meta` and `system`.
    #[schema(example = "key:01920000-0000-7000-8000-000000000001")]
    pub actor_id: Option<String>,
    /// The id of the object: a message, a chat, a dead letter or a key.
    pub subject: Option<String>,
    /// The connection it is of; null for what concerns the subaccount.
    pub connection_id: Option<Uuid>,
    /// Further details; never message text.
    #[schema(value_type = Object)]
    pub details: Value,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A dead letter: an event, turn or message that failed permanently.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeadLetter)]
pub struct DeadLetterView {
    /// The id of the dead letter.
    pub dead_letter_id: Uuid,
    /// The connection it is of.
    pub connection_id: Option<Uuid>,
    /// The chat it is of; null for an event.
    pub chat_id: Option<Uuid>,
    /// What failed.
    #[schema(schema_with = enums::dead_letter_kind)]
    pub kind: String,
    /// The id of the failed event, turn or message.
    pub reference: Uuid,
    /// The failure class.
    #[schema(schema_with = enums::failure_class)]
    pub class: String,
    /// The last error.
    pub error: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Whether somebody has dealt with it.
    #[schema(schema_with = enums::dead_letter_state)]
    pub state: &'static str,
    /// Who replayed or discarded it.
    pub closed_by: Option<String>,
    /// When it failed.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was replayed.
    #[schema(format = DateTime)]
    pub replayed_at: Option<String>,
    /// When it was discarded.
    #[schema(format = DateTime)]
    pub discarded_at: Option<String>,
}

impl ActivityView {
    /// The view of a row.
    pub fn of(row: &activity::Model) -> Self {
        Self {
            activity_id: row.id.0,
            kind: row.kind.to_string(),
            actor: row.actor.clone(),
            actor_id: row.actor_id.clone(),
            subject: row.subject.clone(),
            connection_id: row.connection_id.map(|id| id.0),
            details: timed(serde_json::from_str(&row.details).unwrap_or_default()),
            at: always(row.at),
        }
    }
}

impl DeadLetterView {
    /// The view of a row.
    pub fn of(row: &dead_letter::Model) -> Self {
        let state = match (row.replayed_at, row.discarded_at) {
            (Some(_), _) => "replayed",
            (None, Some(_)) => "discarded",
            (None, None) => "open",
        };
        Self {
            dead_letter_id: row.id.0,
            connection_id: row.connection_id.map(|id| id.0),
            chat_id: row.chat_id.map(|id| id.0),
            kind: row.kind.to_string(),
            reference: row.reference,
            class: row.class.to_string(),
            error: row.error.clone(),
            attempts: row.attempts,
            state,
            closed_by: row.closed_by.clone(),
            created_at: always(row.created_at),
            replayed_at: row.replayed_at.and_then(time),
            discarded_at: row.discarded_at.and_then(time),
        }
    }
}
