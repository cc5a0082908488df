//! Reads new activities of a subaccount.

use super::OVERLAP_MS;
use dmrelay_domain::ids::{ActivityId, SubaccountId};
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use std::collections::HashSet;

/// Maximum number of activities read per statement.
pub(super) const PAGE: u64 = 500;

/// The position of one reader.
pub(super) struct Feed {
    store: Store,
    subaccount: SubaccountId,
    /// The activities of the last seconds that were already read.
    seen: HashSet<ActivityId>,
    /// The time from which activities are read again.
    from: Option<i64>,
}

impl Feed {
    pub(super) fn new(store: Store, subaccount: SubaccountId) -> Self {
        Self { store, subaccount, seen: HashSet::new(), from: None }
    }

    /// The activities written since the last read, oldest first.
    pub(super) async fn look(&mut self) -> Result<Vec<activity::Model>> {
        let now = self.store.now().await?;
        let from = self.from.unwrap_or(now - OVERLAP_MS);
        // Mark activities as seen only after all pages are read: after a failed read, the next one returns
        // them again.
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.activities_from(&self.subaccount, from, after, PAGE).await?;
            let full = page.len() as u64 == PAGE;
            after = page.last().map(|row| row.id);
            rows.extend(page);
            if !full {
                break;
            }
        }
        rows.retain(|row: &activity::Model| self.seen.insert(row.id));
        let from = now - OVERLAP_MS;
        self.from = Some(from);
        self.seen.retain(|id| time_of(*id) >= from);
        Ok(rows)
    }
}

/// The time encoded in an activity's id, in milliseconds (UUIDv7, RFC 9562).
pub(super) fn time_of(id: ActivityId) -> i64 {
    let (seconds, nanos) = id.0.get_timestamp().map_or((0, 0), |at| at.to_unix());
    i64::try_from(seconds).unwrap_or(0) * 1_000 + i64::from(nanos / 1_000_000)
}
