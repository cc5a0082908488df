//! Reads what is new in a subaccount's activities.

use super::OVERLAP_MS;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use std::collections::HashSet;
use uuid::Uuid;

/// Activities read by one statement.
pub(super) const PAGE: u64 = 500;

/// Where one reader stands.
pub(super) struct Feed {
    store: Store,
    subaccount: SubaccountId,
    /// Activities of the last seconds that were read.
    seen: HashSet<Uuid>,
    /// The time from which it is read again.
    from: Option<i64>,
}

impl Feed {
    pub(super) fn new(store: Store, subaccount: SubaccountId) -> Self {
        Self { store, subaccount, seen: HashSet::new(), from: None }
    }

    /// What was written since the last look, oldest first.
    pub(super) async fn look(&mut self) -> Result<Vec<activity::Model>> {
        let now = self.store.now().await?;
        let from = self.from.unwrap_or(now - OVERLAP_MS);
        // All of them are read before any counts as seen: what a failing read drops comes with the next.
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

/// The time an activity's id begins with, in milliseconds (UUIDv7, RFC 9562).
pub(super) fn time_of(id: Uuid) -> i64 {
    let (seconds, nanos) = id.get_timestamp().map_or((0, 0), |at| at.to_unix());
    i64::try_from(seconds).unwrap_or(0) * 1_000 + i64::from(nanos / 1_000_000)
}
