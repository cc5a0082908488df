//! Live events: the activities of a subaccount, as they are written, by whichever process.
//!
//! An activity's id begins with the database's time of its writing, but a transaction that takes longer is
//! seen later: whoever reads on from the last id only would miss it. So the last seconds are read again and
//! again, and what was seen is remembered by id.

mod event;
mod feed;

pub(crate) use event::LiveEvent;

use crate::state::ApiState;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use feed::Feed;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};
use uuid::Uuid;

/// How long after its id's time an activity may still come to be seen.
pub(crate) const OVERLAP_MS: i64 = 5_000;

/// Activities a listener may be behind; one further behind must resume.
const BEHIND: usize = 4_096;

/// One feed for each subaccount that anybody listens to; cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    store: Store,
    interval: Duration,
    most: usize,
    listening: Arc<AtomicUsize>,
    feeds: Arc<Mutex<HashMap<SubaccountId, broadcast::Sender<Arc<activity::Model>>>>>,
}

/// A listener; it counts until it is dropped.
pub(crate) struct Listener {
    pub(crate) live: broadcast::Receiver<Arc<activity::Model>>,
    _place: Place,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    pub(crate) fn new(store: Store, interval: Duration, most: usize) -> Self {
        Self { store, interval, most, listening: Arc::default(), feeds: Arc::default() }
    }

    /// Listens to a subaccount: everything written from now on comes. Nothing where too many listen already.
    pub(crate) async fn listen(&self, subaccount: &SubaccountId) -> Result<Option<Listener>> {
        let before = self.listening.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.listening.clone());
        if before >= self.most {
            return Ok(None);
        }
        let mut feeds = self.feeds.lock().await;
        if let Some(feed) = feeds.get(subaccount) {
            return Ok(Some(Listener { live: feed.subscribe(), _place: place }));
        }
        let (sender, live) = broadcast::channel(BEHIND);
        // What is there already is not new; read before the listener is told that it listens.
        let mut feed = Feed::new(self.store.clone(), subaccount.clone());
        feed.look().await?;
        feeds.insert(subaccount.clone(), sender.clone());
        tokio::spawn(self.clone().follow(feed, subaccount.clone(), sender));
        Ok(Some(Listener { live, _place: place }))
    }

    /// Looks for what is new as long as anybody listens.
    async fn follow(
        self,
        mut feed: Feed,
        subaccount: SubaccountId,
        sender: broadcast::Sender<Arc<activity::Model>>,
    ) {
        loop {
            tokio::time::sleep(self.interval).await;
            {
                let mut feeds = self.feeds.lock().await;
                if sender.receiver_count() == 0 {
                    feeds.remove(&subaccount);
                    return;
                }
            }
            match feed.look().await {
                Ok(new) => new.into_iter().for_each(|row| {
                    // Nobody may be left; the next round sees that.
                    let _ = sender.send(Arc::new(row));
                }),
                Err(err) => tracing::warn!(error = %err, "live events not read, tried again"),
            }
        }
    }
}

/// What came after an event that a client has seen, oldest first, at most `most`; a few that it has seen too may
/// be among it.
pub(crate) async fn since(
    state: &ApiState,
    subaccount: &SubaccountId,
    seen: Uuid,
    most: usize,
) -> Result<Option<Vec<activity::Model>>> {
    let from = feed::time_of(seen) - OVERLAP_MS;
    let mut rows: Vec<activity::Model> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.id);
        let page = state.store.activities_from(subaccount, from, after, feed::PAGE).await?;
        let full = page.len() as u64 == feed::PAGE;
        rows.extend(page.into_iter().filter(|row| row.id != seen));
        if rows.len() > most {
            return Ok(None);
        }
        if !full {
            return Ok(Some(rows));
        }
    }
}
