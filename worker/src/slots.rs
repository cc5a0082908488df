//! Limits concurrent calls. While others are active, one agent or account may use at most a quarter of the slots of its kind, and
//! one subaccount at most half; the last eighth is for subaccounts that use none.

use dmrelay_domain::conversation::Route;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long after its last call somebody counts as active.
const ACTIVE: Duration = Duration::from_mins(1);

/// The slots of this process; cheap to clone.
#[derive(Clone)]
pub(crate) struct Slots {
    asks: Lane,
    sends: Lane,
}

/// The slots of one kind of call.
#[derive(Clone)]
struct Lane {
    count: usize,
    free: Arc<Semaphore>,
    /// Who uses how many: subaccounts, and agents or accounts.
    uses: Arc<Mutex<[HashMap<String, Use>; 2]>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    taken: usize,
    last: Instant,
}

/// A slot in use, released on drop.
struct Slot {
    lane: Lane,
    names: [String; 2],
    _permit: OwnedSemaphorePermit,
}

/// A question slot in use, released on drop.
pub(crate) struct AskSlot {
    _slot: Slot,
}

/// A send slot in use, released on drop.
pub(crate) struct SendSlot {
    _slot: Slot,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { asks: Lane::new(count), sends: Lane::new(count) }
    }

    /// A slot for a question; `None` if all are taken, or the subaccount or its agent has its fair share while others are
    /// active.
    pub(crate) fn ask(&self, route: &Route) -> Option<AskSlot> {
        let slot = self.asks.take([route.subaccount.as_str(), route.agent.as_str()])?;
        Some(AskSlot { _slot: slot })
    }

    /// A slot for a send; `None` if all are taken, or the subaccount or its account has its fair share while others are active.
    pub(crate) fn send(&self, route: &Route) -> Option<SendSlot> {
        let slot = self.sends.take([route.subaccount.as_str(), route.account.as_str()])?;
        Some(SendSlot { _slot: slot })
    }
}

impl Lane {
    fn new(count: usize) -> Self {
        let count = count.max(1);
        Self { count, free: Arc::new(Semaphore::new(count)), uses: Arc::default() }
    }

    /// A slot for a call of this subaccount, and of this agent or account.
    fn take(&self, names: [&str; 2]) -> Option<Slot> {
        let now = Instant::now();
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for ((uses, name), part) in uses.iter_mut().zip(names).zip([2, 4]) {
            uses.retain(|_, used| used.taken > 0 || now - used.last < ACTIVE);
            let others = uses.keys().any(|other| other != name);
            let used = uses.entry(name.to_owned()).or_insert(Use { taken: 0, last: now });
            used.last = now;
            if others && used.taken >= (self.count / part).max(1) {
                return None;
            }
        }
        let [subaccounts, _] = &*uses;
        let has_some = subaccounts.get(names[0]).is_some_and(|used| used.taken > 0);
        if has_some && subaccounts.len() > 1 && self.free.available_permits() <= self.count / 8 {
            return None;
        }
        let permit = self.free.clone().try_acquire_owned().ok()?;
        for (uses, name) in uses.iter_mut().zip(names) {
            if let Some(used) = uses.get_mut(name) {
                used.taken += 1;
            }
        }
        Some(Slot { lane: self.clone(), names: names.map(str::to_owned), _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut uses = self.lane.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for (uses, name) in uses.iter_mut().zip(&self.names) {
            if let Some(used) = uses.get_mut(name) {
                used.taken = used.taken.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_domain::conversation::Provider;
    use dmrelay_domain::ids::{AgentId, InstagramAccountId, SubaccountId};
    use dmrelay_domain::states::LoginKind;

    fn route(subaccount: &str, agent: &str) -> Route {
        Route {
            subaccount: SubaccountId::parse(subaccount).unwrap(),
            agent: AgentId::parse(agent).unwrap(),
            provider: Provider::Shared,
            account: InstagramAccountId::parse("1").unwrap(),
            login: LoginKind::Instagram,
        }
    }

    #[test]
    fn shares_are_fair_while_others_are_active() {
        let slots = Slots::new(8);
        let a = route("acme", "a");
        let alone: Vec<_> = (0..9).filter_map(|_| slots.ask(&a)).collect();
        assert_eq!(alone.len(), 8);
        drop(alone);
        // An agent has a quarter, a subaccount half, whatever the number of its agents.
        let one = slots.ask(&route("other", "z"));
        assert!(one.is_some());
        let shared: Vec<_> = (0..8).filter_map(|_| slots.ask(&a)).collect();
        assert_eq!(shared.len(), 2);
        let more: Vec<_> =
            ["b", "c", "d"].iter().filter_map(|agent| slots.ask(&route("acme", agent))).collect();
        assert_eq!(more.len(), 2);
        // Several that hold all they may leave something for one that has nothing.
        let others = ["x", "y", "v", "w"].map(|agent| slots.ask(&route("other", agent)));
        assert_eq!(others.iter().flatten().count(), 2);
        assert!(slots.ask(&route("third", "t")).is_some());
        drop((shared, more, others));
        assert!(slots.ask(&a).is_some());
        // Sends are counted apart.
        let sends: Vec<_> = (0..9).filter_map(|_| slots.send(&a)).collect();
        assert_eq!(sends.len(), 8);
    }
}
