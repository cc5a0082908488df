//! The search for messages that no webhook brought.

use super::enums;
use super::format::time;
use dmrelay_store::entity::backfill::Model;
use serde::Serialize;
use utoipa::ToSchema;

/// How far Meta's copy of the conversations has been compared with ours.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
pub struct BackfillView {
    /// Why all conversations that changed since `since` are being read, or were last: `resubscribed`, `refused`, `downtime`,
    /// `silence`, `import`, or `beat`: once an hour, or when much has changed. Null if nothing ever was.
    #[schema(schema_with = enums::backfill_reason_or_null)]
    reason: Option<String>,
    /// Whether that is under way.
    is_running: bool,
    /// From when on; null if it is done, or from the beginning.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Conversations read.
    threads: i64,
    /// Conversations or messages that Meta could not show.
    skipped: i64,
    /// Messages found that no webhook had brought.
    found: i64,
    #[schema(format = DateTime)]
    requested_at: Option<String>,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Until when changes have been looked at, on the beat of `BACKFILL_INTERVAL`.
    #[schema(format = DateTime)]
    seen_until: Option<String>,
    /// When a message was last found, for whatever reason.
    #[schema(format = DateTime)]
    last_found_at: Option<String>,
}

impl BackfillView {
    /// The view of a row.
    pub fn of(row: &Model) -> Self {
        Self {
            reason: row.reason.clone(),
            is_running: row.since.is_some(),
            since: row.since.filter(|since| *since > 0).and_then(time),
            threads: row.threads,
            skipped: row.skipped,
            found: row.found,
            requested_at: row.requested_at.and_then(time),
            finished_at: row.finished_at.and_then(time),
            seen_until: time(row.seen_until),
            last_found_at: row.last_found_at.and_then(time),
        }
    }
}
