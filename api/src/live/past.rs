//! The activities a client missed: those after the last one it received, read page by page.

use super::OVERLAP_MS;
use super::feed::{PAGE, time_of};
use crate::readers::Readers;
use dmrelay_domain::ids::{ActivityId, SubaccountId};
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use std::collections::{HashSet, VecDeque};

/// Maximum number of activities a resume reads; a client that missed more reads the lists again.
const ACTIVITIES_MAX: usize = 10_000;

/// The past of one stream, oldest first. It may contain a few activities the client already received.
pub(crate) struct Past {
    store: Store,
    subaccount: SubaccountId,
    seen: ActivityId,
    page: VecDeque<activity::Model>,
    after: Option<ActivityId>,
    read: usize,
    /// Whether this was the last page.
    last: bool,
    /// When the stream subscribed, by the database's clock.
    listening: i64,
    /// Activities the feed may deliver too.
    both: HashSet<ActivityId>,
}

/// The next step of a resume.
pub(crate) enum Step {
    /// An activity.
    Row(Box<activity::Model>),
    /// No more: continue with the live feed.
    End,
    /// The client missed more than a resume reads.
    TooMany,
}

impl Past {
    /// The past after the event `seen`, for a stream that is already subscribed.
    pub(crate) async fn after(store: &Store, subaccount: &SubaccountId, seen: ActivityId) -> Result<Self> {
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

    /// The next activity; each page is read under a permit of its subaccount.
    pub(crate) async fn next(&mut self, readers: &Readers) -> Result<Step> {
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
            let reading = self.store.activities_from(&self.subaccount, from, self.after, PAGE);
            let page = readers.patient(&self.subaccount, reading).await?;
            self.last = (page.len() as u64) < PAGE;
            self.read += page.len();
            self.after = page.last().map(|row| row.id);
            self.page = page.into();
        }
    }

    /// The delivered activities that the feed may deliver again.
    pub(crate) fn both(self) -> HashSet<ActivityId> {
        self.both
    }
}
