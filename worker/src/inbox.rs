//! What jobs have said is waiting, and in which groups it is taken in.

use dmrelay_domain::ids::EventId;
use dmrelay_store::ClaimedEvent;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Maximum number of events of one group.
pub(crate) const GROUP_MAX: usize = 256;

/// Maximum number of events that jobs have named and that no group has; more of them mean that the queue is behind.
const NAMED_MAX: usize = 4_096;

/// A job that waited longer than this means that the queue is behind, in milliseconds.
const BEHIND_MS: i64 = 1_000;

/// Duration of a claim: the maximum time to ingest an event.
pub(crate) const CLAIM_DURATION: Duration = Duration::from_secs(30);

/// Number of recently claimed events remembered, so that their own jobs wake no one.
const REMEMBERED_MAX: usize = 4_096;

/// What jobs have said is waiting.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) wake: Notify,
    claimed: Mutex<Remembered>,
    reported: Mutex<Reported>,
}

/// What was said since the last group.
#[derive(Default)]
struct Reported {
    named: VecDeque<EventId>,
    is_behind: bool,
}

/// The events of the next group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// These.
    Named(Vec<EventId>),
    /// Whatever waits.
    Any,
}

#[derive(Default)]
struct Remembered {
    /// When each event was claimed.
    ids: HashMap<EventId, Instant>,
    order: VecDeque<EventId>,
}

impl Remembered {
    fn knows(&self, event: EventId) -> bool {
        self.ids.get(&event).is_some_and(|claimed| claimed.elapsed() < CLAIM_DURATION)
    }
}

impl Inbox {
    /// Handles a job for a waiting event, which waited for so many milliseconds. Returns whether the event was not yet
    /// known.
    pub(crate) fn wake(&self, event: EventId, waited: i64) -> bool {
        if lock(&self.claimed).knows(event) {
            return false;
        }
        let mut reported = lock(&self.reported);
        if waited > BEHIND_MS || reported.named.len() >= NAMED_MAX {
            reported.is_behind = true;
        } else {
            reported.named.push_back(event);
        }
        drop(reported);
        self.wake.notify_one();
        true
    }

    /// The next group.
    pub(crate) fn next(&self) -> Next {
        let mut reported = lock(&self.reported);
        if std::mem::take(&mut reported.is_behind) {
            return Next::Any;
        }
        let claimed = lock(&self.claimed);
        let mut named = Vec::new();
        while named.len() < GROUP_MAX {
            let Some(event) = reported.named.pop_front() else { break };
            if !claimed.knows(event) {
                named.push(event);
            }
        }
        Next::Named(named)
    }

    /// The queue is still behind.
    pub(crate) fn claim_again(&self) {
        lock(&self.reported).is_behind = true;
    }

    pub(crate) fn remember(&self, events: &[ClaimedEvent]) {
        let mut remembered = lock(&self.claimed);
        for event in events {
            if remembered.ids.insert(event.id, Instant::now()).is_none() {
                remembered.order.push_back(event.id);
            }
        }
        while remembered.order.len() > REMEMBERED_MAX {
            if let Some(oldest) = remembered.order.pop_front() {
                remembered.ids.remove(&oldest);
            }
        }
    }

    pub(crate) fn forget(&self, events: &[EventId]) {
        let mut remembered = lock(&self.claimed);
        for event in events {
            remembered.ids.remove(event);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_wakes_the_worker_only_if_its_event_is_not_claimed() {
        let inbox = Inbox::default();
        let claimed = || ClaimedEvent {
            id: EventId::new(),
            account: "1".to_owned(),
            thread: "2".to_owned(),
            kind: None,
            failures: 0,
            trace: None,
        };
        let (fresh, stale) = (claimed(), claimed());
        inbox.remember(&[fresh.clone(), stale.clone()]);
        let long_ago = Instant::now().checked_sub(CLAIM_DURATION).unwrap();
        lock(&inbox.claimed).ids.insert(stale.id, long_ago);
        assert!(!inbox.wake(fresh.id, 0));
        assert!(inbox.wake(stale.id, 0), "an event whose claim has expired is never ingested again");
        inbox.forget(&[fresh.id]);
        assert!(inbox.wake(fresh.id, 0));
        assert_eq!(inbox.next(), Next::Named(vec![stale.id, fresh.id]));
        assert_eq!(inbox.next(), Next::Named(Vec::new()));
    }

    #[test]
    fn whatever_waits_is_claimed_while_the_queue_is_behind() {
        let late = Inbox::default();
        assert!(late.wake(EventId::new(), 0) && late.wake(EventId::new(), BEHIND_MS + 1));
        let crowded = Inbox::default();
        for _ in 0..=NAMED_MAX {
            assert!(crowded.wake(EventId::new(), 0));
        }
        for inbox in [late, crowded] {
            assert_eq!(inbox.next(), Next::Any);
            inbox.claim_again();
            assert_eq!(inbox.next(), Next::Any);
            // What was named and is not known to be claimed is looked for all the same.
            let named = std::mem::take(&mut lock(&inbox.reported).named);
            let (first, event) = (named[0], EventId::new());
            lock(&inbox.reported).named.extend([first]);
            inbox.wake(event, BEHIND_MS);
            lock(&inbox.claimed).ids.insert(first, Instant::now());
            assert_eq!(inbox.next(), Next::Named(vec![event]));
        }
    }
}
