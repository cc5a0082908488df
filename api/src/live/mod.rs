//! Live events: the activities of a subaccount as they are written, by whichever process.
//!
//! An activity's id starts with the database time of its writing, but a long transaction becomes visible
//! later, so a reader that continued from the last id would miss it. The last seconds are therefore read
//! repeatedly, and activities already seen are recognized by id.

mod entry;
mod event;
mod feed;
mod past;

pub(crate) use entry::Entry;
pub(crate) use event::{Include, LiveEvent, LiveEventKind};
pub(crate) use past::{Past, Step};

use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::{Result, Store};
use feed::Feed;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};

/// How long after its id's time an activity may still become visible.
pub(crate) const OVERLAP_MS: i64 = 5_000;

/// Maximum number of activities a listener may lag behind; beyond that it must resume.
const BACKLOG_MAX: usize = 4_096;

/// Publishes to the listeners of one subaccount.
type Sender = broadcast::Sender<Arc<Entry>>;

/// Limits of concurrent streams in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MostStreams {
    /// For all subaccounts.
    pub(crate) in_all: usize,
    /// For one subaccount, so that it leaves room for others.
    pub(crate) of_one: usize,
    /// For one key or token, so that it leaves room for others of its subaccount.
    pub(crate) of_principal: usize,
}

/// One feed per subaccount that has listeners; cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    store: Store,
    interval: Duration,
    most: MostStreams,
    listening: Arc<AtomicUsize>,
    /// How many streams each key or token has, of each subaccount.
    held: Held,
    feeds: Arc<Mutex<HashMap<SubaccountId, Sender>>>,
}

/// A listener, counted until it is dropped.
pub(crate) struct Listener {
    pub(crate) live: broadcast::Receiver<Arc<Entry>>,
    _place: Place,
}

type Held = Arc<std::sync::Mutex<HashMap<(SubaccountId, String), usize>>>;

/// Somebody's place among the listeners, given back on drop.
struct Share {
    held: Held,
    who: (SubaccountId, String),
}

impl Share {
    /// One more place for this key or token, if it has fewer than `most`.
    fn take(held: &Held, who: (SubaccountId, String), most: usize) -> Option<Self> {
        let mut counts = held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&who).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        counts.insert(who.clone(), count + 1);
        drop(counts);
        Some(Self { held: held.clone(), who })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.who) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.who);
            }
        }
    }
}

struct Place(Arc<AtomicUsize>, #[expect(dead_code, reason = "held until the listener goes")] Share);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    pub(crate) fn new(store: Store, interval: Duration, most: MostStreams) -> Self {
        Self { store, interval, most, listening: Arc::default(), held: Arc::default(), feeds: Arc::default() }
    }

    /// Subscribes a key or token to everything a subaccount writes from now on; `None` if there are too many listeners.
    pub(crate) async fn listen(
        &self,
        subaccount: &SubaccountId,
        principal: &str,
    ) -> Result<Option<Listener>> {
        let who = (subaccount.clone(), principal.to_owned());
        let Some(share) = Share::take(&self.held, who, self.most.of_principal) else { return Ok(None) };
        let before = self.listening.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.listening.clone(), share);
        if before >= self.most.in_all {
            return Ok(None);
        }
        if let Some(feed) = self.feeds.lock().await.get(subaccount) {
            return Ok(self.join(feed, place));
        }
        // Existing activities are not new. Read them before the subscription is confirmed, and without
        // holding the lock, which a slow database would block for everyone.
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

    /// Polls for new activities as long as there are listeners.
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
                    // If no listener is left, the next round notices.
                    let _ = sender.send(Arc::new(Entry::new(row)));
                }),
                Err(err) => tracing::warn!(error = %err, "cannot read live events; retrying"),
            }
        }
    }
}
