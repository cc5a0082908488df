//! What a client missed: the activities after the last one it has seen, read page by page as it takes them.

use super::OVERLAP_MS;
use super::feed::{PAGE, time_of};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use std::collections::{HashSet, VecDeque};
use uuid::Uuid;

/// The most activities that a resume reads; a client that missed more reads the lists again.
const ACTIVITIES_MAX: usize = 10_000;

/// The past of one stream, oldest first. A few that the client has seen may be among it.
pub(crate) struct Past {
    store: Store,
    subaccount: SubaccountId,
    seen: Uuid,
    page: VecDeque<activity::Model>,
    after: Option<Uuid>,
    read: usize,
    /// Whether there is no further page.
    last: bool,
    /// When the stream began to listen, by the database's clock.
    listening: i64,
    /// What the feed may tell too.
    both: HashSet<Uuid>,
}

/// What comes next of the past.
pub(crate) enum Step {
    /// This.
    Row(Box<activity::Model>),
    /// Nothing: the present.
    End,
    /// More than a resume reads.
    TooMany,
}

impl Past {
    /// The past after the event `seen`, for a stream that listens already.
    pub(crate) async fn after(store: &Store, subaccount: &SubaccountId, seen: Uuid) -> Result<Self> {
        Ok(Self {
            store: store.clone(),
            subaccount: subaccount.clone(),
            seen,
            page: VecDeque::new(),
            after: None,
            read: 0,
            last: false,
            listening: store.now().await?,
            both: HashSet::new(),
        })
    }

    /// The next activity.
    pub(crate) async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(row) = self.page.pop_front() {
                if row.id == self.seen {
                    continue;
                }
                if time_of(row.id) >= self.listening - OVERLAP_MS {
                    self.both.insert(row.id);
                }
                return Ok(Step::Row(Box::new(row)));
            }
            if self.last {
                return Ok(Step::End);
            }
            if self.read >= ACTIVITIES_MAX {
                return Ok(Step::TooMany);
            }
            let from = time_of(self.seen) - OVERLAP_MS;
            let page = self.store.activities_from(&self.subaccount, from, self.after, PAGE).await?;
            self.last = (page.len() as u64) < PAGE;
            self.read += page.len();
            self.after = page.last().map(|row| row.id);
            self.page = page.into();
        }
    }

    /// What it told that the feed may tell too.
    pub(crate) fn both(self) -> HashSet<Uuid> {
        self.both
    }
}
