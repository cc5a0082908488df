//! Timers for turns that are due soon: the worker that ingested a message waits for the customer to finish
//! and begins the turn itself. A later message replaces the timer of an earlier one.

use dmrelay_domain::ids::ChatId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Maximum number of timers; beyond it the poller finds due turns.
const TIMERS_MAX: usize = 10_000;

/// The running timers, each with its number.
#[derive(Default)]
pub(crate) struct Timers {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next: u64,
    current: HashMap<ChatId, u64>,
}

impl Timers {
    /// Whether another timer may run.
    pub(crate) fn has_room(&self) -> bool {
        self.lock().current.len() < TIMERS_MAX
    }

    /// Allocates the number of a chat's new timer, which replaces the previous one.
    pub(crate) fn begin(&self, chat: ChatId) -> u64 {
        let mut running = self.lock();
        running.next += 1;
        let number = running.next;
        running.current.insert(chat, number);
        number
    }

    /// Whether an expired timer is still the chat's current one; if so, it is removed.
    pub(crate) fn end(&self, chat: ChatId, number: u64) -> bool {
        let mut running = self.lock();
        let is_current = running.current.get(&chat) == Some(&number);
        if is_current {
            running.current.remove(&chat);
        }
        is_current
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_timer_replaces_an_earlier_one() {
        let (timers, chat) = (Timers::default(), ChatId::new());
        let (first, second) = (timers.begin(chat), timers.begin(chat));
        assert!(!timers.end(chat, first));
        assert!(timers.end(chat, second));
        assert!(!timers.end(chat, second));
    }
}
