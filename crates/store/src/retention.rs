//! What is no longer needed is deleted, in small batches.

use crate::{Result, Store};
use dmrelay_domain::clock::millis;
use std::time::Duration;

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
        // The oldest by id: ids are UUIDv7, so this is a range of the primary key.
        let sql = "DELETE FROM events WHERE id IN (SELECT id FROM events \
             WHERE due_at IS NULL AND (received_at < {now} - $1 OR (state = 'unrouted' AND received_at < {now} - $2)) \
             AND state <> 'dead' ORDER BY id LIMIT $3)";
        let values = vec![millis(kept.events).into(), millis(kept.unrouted).into(), kept.batch.into()];
        self.execute(sql, values).await
    }
}
