//! The metrics that one worker counts for all. They are exported while they are true: not by workers that do not lead, nor
//! once counting has failed for a while. A series that is missing says that nobody knows; an old value would say that all is
//! as it was.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Metrics that are exported until a deadline that every count moves.
#[derive(Clone)]
pub(super) struct Leading {
    members: Arc<[Box<dyn Collector>]>,
    true_until: Arc<Mutex<Option<Instant>>>,
}

impl Leading {
    pub(super) fn new(members: Vec<Box<dyn Collector>>) -> Self {
        Self { members: members.into(), true_until: Arc::default() }
    }

    /// Everything was just counted, and is true for that long.
    pub(super) fn counted(&self, true_for: Duration) {
        self.set(Some(Instant::now() + true_for));
    }

    /// Another process counts now.
    pub(super) fn lost(&self) {
        self.set(None);
    }

    fn set(&self, true_until: Option<Instant>) {
        *self.true_until.lock().unwrap_or_else(PoisonError::into_inner) = true_until;
    }

    fn is_true(&self) -> bool {
        let until = *self.true_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

impl Collector for Leading {
    fn desc(&self) -> Vec<&Desc> {
        self.members.iter().flat_map(|member| member.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if !self.is_true() {
            return Vec::new();
        }
        self.members.iter().flat_map(|member| member.collect()).collect()
    }
}
