//! Limits concurrent calls. While other agents are active, one agent may use at most a quarter of the
//! question slots.

use dmrelay_domain::ids::AgentId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long after its last question an agent counts as active.
const AGENT_ACTIVE: Duration = Duration::from_mins(1);

/// The slots of this process; cheap to clone.
#[derive(Clone)]
pub(crate) struct Slots {
    count: usize,
    asks: Arc<Semaphore>,
    sends: Arc<Semaphore>,
    agents: Arc<Mutex<HashMap<AgentId, Use>>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    taken: usize,
    last: Instant,
}

/// A question slot in use, released on drop.
pub(crate) struct AskSlot {
    slots: Slots,
    agent: AgentId,
    _permit: OwnedSemaphorePermit,
}

/// A send slot in use, released on drop.
pub(crate) struct SendSlot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        let count = count.max(1);
        let semaphore = || Arc::new(Semaphore::new(count));
        Self { count, asks: semaphore(), sends: semaphore(), agents: Arc::default() }
    }

    /// A slot for a question to an agent; `None` if all are taken, or the agent has used its fair share while
    /// others are active.
    pub(crate) fn ask(&self, agent: &AgentId) -> Option<AskSlot> {
        let now = Instant::now();
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.retain(|_, used| used.taken > 0 || now - used.last < AGENT_ACTIVE);
        let others = agents.keys().any(|other| other != agent);
        let used = agents.entry(agent.clone()).or_insert(Use { taken: 0, last: now });
        used.last = now;
        if others && used.taken >= (self.count / 4).max(1) {
            return None;
        }
        let permit = self.asks.clone().try_acquire_owned().ok()?;
        used.taken += 1;
        Some(AskSlot { slots: self.clone(), agent: agent.clone(), _permit: permit })
    }

    /// A slot for a send; `None` if all are taken.
    pub(crate) fn send(&self) -> Option<SendSlot> {
        Some(SendSlot { _permit: self.sends.clone().try_acquire_owned().ok()? })
    }
}

impl Drop for AskSlot {
    fn drop(&mut self) {
        let mut agents = self.slots.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = agents.get_mut(&self.agent) {
            used.taken = used.taken.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_gets_a_quarter_while_others_are_active() {
        let slots = Slots::new(8);
        let (a, b) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
        let alone: Vec<_> = (0..9).filter_map(|_| slots.ask(&a)).collect();
        assert_eq!(alone.len(), 8);
        drop(alone);
        let one = slots.ask(&b);
        assert!(one.is_some());
        let shared: Vec<_> = (0..8).filter_map(|_| slots.ask(&a)).collect();
        assert_eq!(shared.len(), 2);
    }
}
