//! Live events: the activities of a subaccount, as they are written, by whichever process.
//!
//! An activity's id begins with the database's time of its writing, but a transaction that takes longer is
//! seen later: whoever reads on from the last id only would miss it. So the last seconds are read again and
//! again, and what was seen is remembered by id.

mod event;
mod feed;
mod past;

pub(crate) use event::LiveEvent;
pub(crate) use past::{Past, Step};

use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::entity::activity;
use dmrelay_store::{Result, Store};
use feed::Feed;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};

/// How long after its id's time an activity may still come to be seen.
pub(crate) const OVERLAP_MS: i64 = 5_000;

/// Activities a listener may be behind; one further behind must resume.
const BACKLOG_MAX: usize = 4_096;

/// Tells the listeners of one subaccount.
type Sender = broadcast::Sender<Arc<activity::Model>>;

/// The most streams of this process at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MostStreams {
    /// Of all subaccounts.
    pub(crate) in_all: usize,
    /// Of one, so that it leaves room for the others.
    pub(crate) of_one: usize,
}

/// One feed for each subaccount that anybody listens to; cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    store: Store,
    interval: Duration,
    most: MostStreams,
    listening: Arc<AtomicUsize>,
    feeds: Arc<Mutex<HashMap<SubaccountId, Sender>>>,
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
    pub(crate) fn new(store: Store, interval: Duration, most: MostStreams) -> Self {
        Self { store, interval, most, listening: Arc::default(), feeds: Arc::default() }
    }

    /// Listens to a subaccount: everything written from now on comes. Nothing where too many listen already.
    pub(crate) async fn listen(&self, subaccount: &SubaccountId) -> Result<Option<Listener>> {
        let before = self.listening.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.listening.clone());
        if before >= self.most.in_all {
            return Ok(None);
        }
        if let Some(feed) = self.feeds.lock().await.get(subaccount) {
            return Ok(self.join(feed, place));
        }
        // What is there already is not new; read before the listener is told that it listens, and without the
        // lock, which a slow database would keep from everybody.
        let mut feed = Feed::new(self.store.clone(), subaccount.clone());
        feed.look().await?;
        let mut feeds = self.feeds.lock().await;
        if let Some(faster) = feeds.get(subaccount) {
            return Ok(self.join(faster, place));
        }
        let (sender, live) = broadcast::channel(BACKLOG_MAX);
        feeds.insert(subaccount.clone(), sender.clone());
        tokio::spawn(self.clone().follow(feed, subaccount.clone(), sender));
        Ok(Some(Listener { live, _place: place }))
    }

    fn join(&self, feed: &Sender, place: Place) -> Option<Listener> {
        let room = feed.receiver_count() < self.most.of_one;
        room.then(|| Listener { live: feed.subscribe(), _place: place })
    }

    /// Looks for what is new as long as anybody listens.
    async fn follow(self, mut feed: Feed, subaccount: SubaccountId, sender: Sender) {
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
