//! What is no longer needed is deleted, in small batches.

use crate::activities::first_id_at;
use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use std::time::Duration;

/// How far the clock of an API process, of which an event's id is, may be from the database's.
const CLOCK_SKEW: Duration = Duration::from_hours(1);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Keys of processed events: at least as long as Meta may deliver them again.
    pub events: Duration,
    /// Events of accounts nobody connected.
    pub unrouted: Duration,
    /// Rows deleted in one statement.
    pub batch: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self { events: Duration::from_hours(168), unrouted: Duration::from_hours(72), batch: 5_000 }
    }
}

impl Store {
    /// Deletes one batch of what is kept no longer. Gives how many rows; fewer than a batch means done.
    pub async fn forget_events(&self, kept: &Kept) -> Result<u64> {
        // Ids are UUIDv7, made when the event arrived: only old ones are looked at, a range of the primary key.
        let youngest = self.now().await? - millis(kept.events.min(kept.unrouted)) + millis(CLOCK_SKEW);
        let sql = "DELETE FROM events WHERE id IN (SELECT id FROM events \
             WHERE id < $4 AND due_at IS NULL AND (received_at < {now} - $1 OR (state = 'unrouted' AND received_at < {now} - $2)) \
             AND state <> 'dead' ORDER BY id LIMIT $3)";
        let values = vec![
            millis(kept.events).into(),
            millis(kept.unrouted).into(),
            kept.batch.into(),
            first_id_at(youngest).into(),
        ];
        self.execute(sql, values).await
    }
}
