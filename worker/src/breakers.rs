//! Circuit breakers before the services that are called: one for each agent and each Instagram account, and one for each
//! service as a whole, which opens when several of those have. Their state is shared through the database; a healthy day
//! costs one small statement a second.

use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::Route;
use dmrelay_store::{Gate, GateKey, GateState, Result, Store};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a success is reported of a breaker that has failed before.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How long a call waits whose breaker is being probed by another one.
const PROBED: Duration = Duration::from_secs(1);

/// The breakers, as this process sees them.
pub(crate) struct Breakers {
    store: Store,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Those that have failed or are open, as last read.
    states: HashMap<String, GateState>,
    /// When the calls behind a breaker last succeeded here, by the start of the call.
    succeeded: HashMap<GateKey, Instant>,
    reported: HashMap<GateKey, Instant>,
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Admitted,
    /// Not before so long.
    Wait(Duration),
}

/// The breakers before a question.
pub(crate) fn of_agent(route: &Route) -> [GateKey; 2] {
    [GateKey::AgentOf(route.agent.clone()), GateKey::Agent]
}

/// The breakers before a send.
pub(crate) fn of_graph(route: &Route) -> [GateKey; 2] {
    [GateKey::GraphAccount(route.account.clone()), GateKey::GraphApp(route.login)]
}

impl Breakers {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, seen: Mutex::default() }
    }

    /// Reads the breakers that have failed or are open.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let states = self.store.gate_states().await?;
        self.lock().states = states.into_iter().map(|state| (state.key.clone(), state)).collect();
        Ok(())
    }

    /// Whether a call behind these breakers may be made at `now`, by the database's clock. Of a breaker that has tripped and
    /// whose time is over, one call is admitted to probe the service.
    pub(crate) async fn admit(&self, keys: &[GateKey], now: i64) -> Result<Admission> {
        let states: Vec<GateState> = {
            let seen = self.lock();
            keys.iter().filter_map(|key| seen.states.get(&key.to_string()).cloned()).collect()
        };
        if let Some(until) = states.iter().map(|state| state.closed_until).max().filter(|until| *until > now)
        {
            return Ok(Admission::Wait(dmrelay_domain::clock::duration(until - now)));
        }
        let tripped: Vec<GateKey> =
            keys.iter().filter(|key| states.iter().any(|state| state.is_tripped_of(key))).cloned().collect();
        if tripped.is_empty() {
            return Ok(Admission::Admitted);
        }
        match self.store.pass(&tripped).await? {
            Gate::Open => Ok(Admission::Admitted),
            Gate::Closed(until) => {
                Ok(Admission::Wait(dmrelay_domain::clock::duration(until - now).max(PROBED)))
            }
        }
    }

    /// Whether none of the breakers has tripped or is open at `now`, so that a call needs no admission.
    pub(crate) fn are_closed(&self, keys: &[GateKey], now: i64) -> bool {
        let seen = self.lock();
        keys.iter().all(|key| {
            let state = seen.states.get(&key.to_string());
            state.is_none_or(|state| state.closed_until <= now && !state.is_tripped_of(key))
        })
    }

    /// An admitted call will not be made: if it was the probe, another call may be the probe instead.
    pub(crate) async fn unused(&self, keys: &[GateKey]) {
        let tripped: Vec<GateKey> = {
            let seen = self.lock();
            let is_tripped = |key: &&GateKey| {
                seen.states.get(&key.to_string()).is_some_and(|state| state.is_tripped_of(key))
            };
            keys.iter().filter(is_tripped).cloned().collect()
        };
        for key in &tripped {
            if let Err(err) = self.store.release_probe(key).await {
                tracing::debug!(key = %key, error = %err, "a probe was not given back, it ends by itself");
            }
        }
    }

    /// How long the breakers are open from `now` on, if one is; no probe is begun.
    pub(crate) fn open_for(&self, keys: &[GateKey], now: i64) -> Option<Duration> {
        let seen = self.lock();
        let until =
            keys.iter().filter_map(|key| seen.states.get(&key.to_string())).map(|state| state.closed_until);
        until.max().filter(|until| *until > now).map(|until| dmrelay_domain::clock::duration(until - now))
    }

    /// When a call behind this breaker last succeeded, as far as was reported; none if it never failed.
    pub(crate) fn succeeded_at(&self, key: &GateKey) -> Option<i64> {
        self.lock().states.get(&key.to_string()).map(|state| state.last_success_at).filter(|at| *at > 0)
    }

    /// A call that began then succeeded: failures in a row begin anew.
    pub(crate) async fn passed(&self, keys: &[GateKey], began: Instant) {
        let now = Instant::now();
        let due: Vec<GateKey> = {
            let mut seen = self.lock();
            seen.succeeded.extend(keys.iter().map(|key| (key.clone(), began)));
            let has_failed = |key: &GateKey| seen.states.contains_key(&key.to_string());
            let is_late =
                |key: &GateKey| seen.reported.get(key).is_none_or(|at| now - *at >= REPORT_INTERVAL);
            let due: Vec<GateKey> =
                keys.iter().filter(|key| has_failed(key) && is_late(key)).cloned().collect();
            seen.reported.extend(due.iter().map(|key| (key.clone(), now)));
            due
        };
        if due.is_empty() {
            return;
        }
        // What the call brought counts more than this: the next success reports again.
        if let Err(err) = self.store.gate_passed(&due).await {
            tracing::warn!(error = %err, "a success was not reported to its circuit breakers");
        }
    }

    /// A call that began then failed in a way that may be the service's state. A call that began before the last success
    /// tells nothing new.
    pub(crate) async fn failed(&self, keys: &[GateKey; 2], began: Instant, reason: &str) -> Result<()> {
        let [own, shared] = keys;
        {
            let mut seen = self.lock();
            if seen.succeeded.get(own).is_some_and(|succeeded| *succeeded > began) {
                return Ok(());
            }
            seen.reported.remove(own);
        }
        if let Some(until) = self.store.gate_failed(own, reason).await? {
            tracing::warn!(breaker = %own, until, reason, "circuit breaker opened after repeated failures");
            if self.store.trip_shared(own, shared, reason).await? {
                tracing::warn!(breaker = %shared, reason, "circuit breaker opened: several accounts or agents fail");
            }
            self.refresh().await?;
        } else {
            self.note(own).await;
        }
        Ok(())
    }

    /// The service said when it wants to be called again.
    pub(crate) async fn close(&self, key: &GateKey, pause: Duration, reason: &str) -> Result<()> {
        self.lock().reported.remove(key);
        tracing::warn!(breaker = %key, pause_s = pause.as_secs(), reason, "the service wants to be left alone");
        self.store.close_gate(key, pause, reason).await?;
        self.refresh().await
    }

    /// A first failure makes the breaker known here before the next refresh.
    async fn note(&self, key: &GateKey) {
        if !self.lock().states.contains_key(&key.to_string())
            && let Err(err) = self.refresh().await
        {
            tracing::debug!(error = %err, "circuit breakers not read");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pause in the form of settings and answers, in milliseconds.
pub(crate) fn pause(retry_after: Option<Duration>) -> Option<i64> {
    retry_after.map(millis)
}
