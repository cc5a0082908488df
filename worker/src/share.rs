//! Shares the slots for turns: while others wait, one agent has at most a quarter of them.

use dmrelay_domain::ids::AgentId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An agent counts as another one that may wait for so long after its last turn.
const RECENT: Duration = Duration::from_mins(1);

/// The slots of this process.
#[derive(Clone)]
pub(crate) struct Shares {
    slots: usize,
    agents: Arc<Mutex<HashMap<AgentId, Use>>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    taken: usize,
    last: Instant,
}

/// A slot in use; free again when dropped.
pub(crate) struct Slot {
    shares: Shares,
    agent: AgentId,
}

impl Shares {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, agents: Arc::default() }
    }

    /// Takes a slot for an agent, unless it has its quarter and others are about.
    pub(crate) fn take(&self, agent: &AgentId) -> Option<Slot> {
        let now = Instant::now();
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.retain(|_, used| used.taken > 0 || now - used.last < RECENT);
        let others = agents.keys().any(|other| other != agent);
        let used = agents.entry(agent.clone()).or_insert(Use { taken: 0, last: now });
        used.last = now;
        if others && used.taken >= (self.slots / 4).max(1) {
            return None;
        }
        used.taken += 1;
        Some(Slot { shares: self.clone(), agent: agent.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut agents = self.shares.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = agents.get_mut(&self.agent) {
            used.taken = used.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_each_while_others_are_about() {
        let shares = Shares::new(8);
        let (a, b) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
        let alone: Vec<_> = (0..8).filter_map(|_| shares.take(&a)).collect();
        assert_eq!(alone.len(), 8);
        drop(alone);
        let one = shares.take(&b);
        assert!(one.is_some());
        let shared: Vec<_> = (0..8).filter_map(|_| shares.take(&a)).collect();
        assert_eq!(shared.len(), 2);
    }
}
