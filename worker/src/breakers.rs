//! Circuit breakers for the services called: one per agent, one per Instagram account, and one per service as
//! a whole, which opens when several of those have opened. Their state is shared through the database; while
//! all is healthy they cost one small statement per second. With them come the pauses.
//!
//! Statements are boxed: every call holds these futures and, while all is healthy, needs none of them.

use dmrelay_domain::clock::millis;
use dmrelay_domain::conversation::Route;
use dmrelay_store::{Admit, BreakerKey, BreakerState, Call, PauseKey, Result, Store};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minimum interval between reports of success for a breaker that has failed before.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// How long a call waits while another one probes its breaker, and until it is known here that a breaker has closed.
pub(crate) const PROBE_WAIT: Duration = Duration::from_secs(1);

/// The breakers as seen by this process.
pub(crate) struct Breakers {
    store: Store,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Breakers with failures or open ones, as last loaded.
    states: HashMap<String, BreakerState>,
    /// What is paused, and until when, as last loaded; `None` until then, when nothing is called.
    pauses: Option<HashMap<PauseKey, Option<i64>>>,
    /// When calls behind a breaker last succeeded here, by the start of the call.
    succeeded: HashMap<BreakerKey, Instant>,
    reported: HashMap<BreakerKey, Instant>,
}

impl Seen {
    fn is_paused(&self, call: Call, route: &Route, now: i64) -> bool {
        let Some(pauses) = &self.pauses else { return true };
        if pauses.is_empty() {
            return false;
        }
        let lasts = |key| pauses.get(key).is_some_and(|ends_at| ends_at.is_none_or(|at| at > now));
        PauseKey::of(call, route).iter().any(lasts)
    }
}

/// Whether a call may be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Allowed.
    Admitted,
    /// Not before this delay.
    Wait(Duration),
}

/// The breakers of a call.
fn of(call: Call, route: &Route) -> [BreakerKey; 2] {
    match call {
        Call::Ask => of_agent(route),
        Call::Send | Call::Connect => of_graph(route),
    }
}

/// The breakers of a question.
pub(crate) fn of_agent(route: &Route) -> [BreakerKey; 2] {
    BreakerKey::of_agent(&route.provider, &route.agent)
}

/// The breakers of a send.
pub(crate) fn of_graph(route: &Route) -> [BreakerKey; 2] {
    [BreakerKey::GraphAccount(route.account.clone()), BreakerKey::GraphApp(route.login)]
}

impl Breakers {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, seen: Mutex::default() }
    }

    /// Whether it is known what is paused. Until then nothing is called.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let is_known = self.lock().pauses.is_some();
        is_known.then_some(()).ok_or_else(|| "not loaded yet".to_owned())
    }

    /// Loads the breakers that have failures or are open, and the pauses.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let states = Box::pin(self.store.breaker_states()).await?;
        let pauses = Box::pin(self.store.pauses()).await?;
        let mut seen = self.lock();
        seen.states = states.into_iter().map(|state| (state.key.clone(), state)).collect();
        seen.pauses = Some(pauses.into_iter().map(|pause| (pause.key, pause.ends_at)).collect());
        Ok(())
    }

    /// Whether the call may be made at `now`, by the database's clock. When an open breaker's pause is over, one call is
    /// admitted to probe whether the service has recovered.
    pub(crate) async fn admit(&self, call: Call, route: &Route, now: i64) -> Result<Admission> {
        if self.is_paused(call, route, now) {
            return Ok(Admission::Wait(PROBE_WAIT));
        }
        let keys = &of(call, route);
        let states: Vec<BreakerState> = {
            let seen = self.lock();
            keys.iter().filter_map(|key| seen.states.get(&key.to_string()).cloned()).collect()
        };
        if let Some(until) = states.iter().map(|state| state.closed_until).max().filter(|until| *until > now)
        {
            return Ok(Admission::Wait(dmrelay_domain::clock::duration(until - now)));
        }
        let tripped: Vec<BreakerKey> =
            keys.iter().filter(|key| states.iter().any(|state| state.is_tripped_of(key))).cloned().collect();
        if tripped.is_empty() {
            return Ok(Admission::Admitted);
        }
        match Box::pin(self.store.admit(&tripped)).await? {
            Admit::Now => Ok(Admission::Admitted),
            Admit::NotBefore(until) => {
                Ok(Admission::Wait(dmrelay_domain::clock::duration(until - now).max(PROBE_WAIT)))
            }
        }
    }

    /// Whether such calls are paused, or it is not known yet.
    pub(crate) fn is_paused(&self, call: Call, route: &Route, now: i64) -> bool {
        self.lock().is_paused(call, route, now)
    }

    /// Whether nothing stops the call at `now`: no pause, and no breaker that has tripped or is open. It then needs no
    /// admission.
    pub(crate) fn is_free(&self, call: Call, route: &Route, now: i64) -> bool {
        let seen = self.lock();
        if seen.is_paused(call, route, now) {
            return false;
        }
        of(call, route).iter().all(|key| {
            let state = seen.states.get(&key.to_string());
            state.is_none_or(|state| state.closed_until <= now && !state.is_tripped_of(key))
        })
    }

    /// An admitted call will not be made: if it was the probe, another call may probe instead.
    pub(crate) async fn unused(&self, keys: &[BreakerKey]) {
        let tripped: Vec<BreakerKey> = {
            let seen = self.lock();
            let is_tripped = |key: &&BreakerKey| {
                seen.states.get(&key.to_string()).is_some_and(|state| state.is_tripped_of(key))
            };
            keys.iter().filter(is_tripped).cloned().collect()
        };
        for key in &tripped {
            if let Err(err) = Box::pin(self.store.release_probe(key)).await {
                tracing::debug!(key = %key, error = %err, "cannot release a probe; it expires on its own");
            }
        }
    }

    /// Whether the calls are paused, or one of their breakers is open, at `now`; starts no probe.
    pub(crate) fn is_stopped(&self, call: Call, route: &Route, now: i64) -> bool {
        let seen = self.lock();
        if seen.is_paused(call, route, now) {
            return true;
        }
        let is_open = |key: &BreakerKey| {
            seen.states.get(&key.to_string()).is_some_and(|state| state.closed_until > now)
        };
        of(call, route).iter().any(is_open)
    }

    /// When a call behind this breaker last reported success; `None` if it never failed.
    pub(crate) fn succeeded_at(&self, key: &BreakerKey) -> Option<i64> {
        self.lock().states.get(&key.to_string()).map(|state| state.last_success_at).filter(|at| *at > 0)
    }

    /// A call that began then succeeded: resets the count of consecutive failures.
    pub(crate) async fn passed(&self, keys: &[BreakerKey], began: Instant) {
        let now = Instant::now();
        let due: Vec<BreakerKey> = {
            let mut seen = self.lock();
            seen.succeeded.extend(keys.iter().map(|key| (key.clone(), began)));
            let has_failed = |key: &BreakerKey| seen.states.contains_key(&key.to_string());
            let is_late =
                |key: &BreakerKey| seen.reported.get(key).is_none_or(|at| now - *at >= REPORT_INTERVAL);
            let due: Vec<BreakerKey> =
                keys.iter().filter(|key| has_failed(key) && is_late(key)).cloned().collect();
            seen.reported.extend(due.iter().map(|key| (key.clone(), now)));
            due
        };
        if due.is_empty() {
            return;
        }
        // The call's own result matters more than this: the next success reports again.
        if let Err(err) = Box::pin(self.store.record_success(&due)).await {
            tracing::warn!(error = %err, "cannot report a success to its circuit breakers");
        }
    }

    /// A call that began then failed in a way that may indicate an outage. A call that began before the last
    /// success adds no information.
    pub(crate) async fn failed(&self, keys: &[BreakerKey; 2], began: Instant, reason: &str) -> Result<()> {
        let [own, shared] = keys;
        {
            let mut seen = self.lock();
            if seen.succeeded.get(own).is_some_and(|succeeded| *succeeded > began) {
                return Ok(());
            }
            seen.reported.remove(own);
        }
        if let Some(open) = Box::pin(self.store.record_failure(own, reason, began.elapsed())).await? {
            tracing::warn!(breaker = %own, open_s = open.as_secs(), reason, "circuit breaker opened: repeated failures");
            if Box::pin(self.store.trip_shared(own, shared, reason, began.elapsed())).await? {
                tracing::warn!(breaker = %shared, reason, "service circuit breaker opened: several accounts or agents fail");
            }
            self.refresh().await?;
        } else {
            self.note(own).await;
        }
        Ok(())
    }

    /// The service asked for a pause of this length.
    pub(crate) async fn close(&self, key: &BreakerKey, pause: Duration, reason: &str) -> Result<()> {
        self.lock().reported.remove(key);
        tracing::warn!(breaker = %key, pause_s = pause.as_secs(), reason, "circuit breaker opened: the service asked for a pause");
        Box::pin(self.store.open_breaker(key, pause, reason)).await?;
        self.refresh().await
    }

    /// Makes the breaker known here after its first failure, before the next refresh.
    async fn note(&self, key: &BreakerKey) {
        if !self.lock().states.contains_key(&key.to_string())
            && let Err(err) = self.refresh().await
        {
            tracing::debug!(error = %err, "cannot load the circuit breakers");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts a pause from settings or responses to milliseconds.
pub(crate) fn pause(retry_after: Option<Duration>) -> Option<i64> {
    retry_after.map(millis)
}
