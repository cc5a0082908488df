//! Reports to the gates, without a statement for each call of a healthy day.

use dmrelay_store::{GateKey, Result, Store};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a success is reported while nothing has failed here.
const QUIET: Duration = Duration::from_secs(2);

/// The gates, as this process sees them.
pub(crate) struct Gates {
    store: Store,
    reported: Mutex<HashMap<GateKey, Instant>>,
}

impl Gates {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, reported: Mutex::default() }
    }

    /// A call succeeded: failures "in a row" begin anew.
    pub(crate) async fn passed(&self, gates: &[GateKey]) {
        let now = Instant::now();
        let due: Vec<GateKey> = {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            let late = |gate: &&GateKey| reported.get(gate).is_none_or(|at| now - *at >= QUIET);
            let due: Vec<GateKey> = gates.iter().filter(late).cloned().collect();
            reported.extend(due.iter().map(|gate| (gate.clone(), now)));
            due
        };
        if due.is_empty() {
            return;
        }
        // What the call brought counts more than this: the next success reports again.
        if let Err(err) = self.store.gate_passed(&due).await {
            tracing::warn!(error = %err, "a success was not reported to its gates");
        }
    }

    /// A call failed in a way that may be the service's state.
    pub(crate) async fn failed(&self, gate: &GateKey, reason: &str) -> Result<()> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).remove(gate);
        if let Some(until) = self.store.gate_failed(gate, reason).await? {
            tracing::warn!(%gate, until, reason, "gate closed after repeated failures");
        }
        Ok(())
    }

    /// The service said when it wants to be called again.
    pub(crate) async fn close(&self, gate: &GateKey, pause: Duration, reason: &str) -> Result<()> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).remove(gate);
        tracing::warn!(%gate, pause_s = pause.as_secs(), reason, "gate closed");
        self.store.close_gate(gate, pause, reason).await
    }
}
