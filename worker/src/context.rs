//! What every job needs, made once per process.

use crate::dispatch::Dispatcher;
use crate::gates::Gates;
use crate::share::Shares;
use dmrelay_agent::ChatAgent;
use dmrelay_domain::clock::Clock;
use dmrelay_domain::secret::Secret;
use dmrelay_instagram::{Access, Graph};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{AgentSettings, GraphSettings, WorkerSettings};
use dmrelay_store::{Connection, Store};
use dmrelay_vault::{Place, SealError, Vault};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Limits of the pipeline.
#[derive(Debug, Clone)]
pub struct Options {
    /// The worker's settings.
    pub worker: WorkerSettings,
    /// How long a question may take.
    pub agent_timeout: Duration,
    /// How long a send may take.
    pub graph_timeout: Duration,
}

impl Options {
    /// The limits these settings give.
    pub fn new(worker: WorkerSettings, agent: &AgentSettings, graph: &GraphSettings) -> Self {
        Self { worker, agent_timeout: agent.agent_timeout, graph_timeout: graph.graph_timeout }
    }

    /// From the start of a question until it is certain what became of it.
    pub(crate) fn turn_deadline(&self) -> Duration {
        self.agent_timeout + self.worker.reconcile_grace
    }

    /// From the start of a send until it is certain what became of it.
    pub(crate) fn send_deadline(&self) -> Duration {
        self.graph_timeout + self.worker.reconcile_grace
    }
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Opens sealed tokens.
    pub vault: Vault,
    /// Meta.
    pub graph: Graph,
    /// The agent.
    pub agent: Arc<dyn ChatAgent>,
    /// Pushes jobs.
    pub dispatcher: Dispatcher,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
    /// Limits.
    pub options: Options,
}

/// What every job needs; shared by reference.
pub struct Context {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) graph: Graph,
    pub(crate) agent: Arc<dyn ChatAgent>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) gates: Gates,
    pub(crate) shares: Shares,
    /// When the sealed secrets were counted last.
    pub(crate) secrets_counted: Mutex<Option<Instant>>,
}

impl Context {
    /// A context of these parts.
    pub fn new(parts: Parts) -> Self {
        let gates = Gates::new(parts.store.clone());
        let shares = Shares::new(usize::from(parts.options.worker.worker_concurrency));
        Self {
            store: parts.store,
            vault: parts.vault,
            graph: parts.graph,
            agent: parts.agent,
            dispatcher: parts.dispatcher,
            metrics: parts.metrics,
            clock: parts.clock,
            options: parts.options,
            gates,
            shares,
            secrets_counted: Mutex::default(),
        }
    }

    /// In whose name Graph is called for a connection.
    pub(crate) fn access(&self, connection: &Connection) -> Result<Access, SealError> {
        let sealed = connection.row.access_token.as_deref().ok_or(SealError::Malformed)?;
        let token: Secret<String> = self.vault.open_text(place(connection), sealed)?;
        Ok(Access::new(connection.login, &connection.account, connection.page.as_ref(), token))
    }

    /// A connection's token as it is stored.
    pub(crate) fn seal(&self, connection: &Connection, token: &Secret<String>) -> Vec<u8> {
        self.vault.seal(place(connection), token.expose().as_bytes())
    }
}

/// Where a connection's token is stored.
fn place(connection: &Connection) -> Place {
    Place { table: "instagram_connections", column: "access_token", row: connection.id.0 }
}

impl Context {
    /// Notes that the account's webhooks come; a failure is not worth one of the event's attempts.
    pub(crate) async fn touch(&self, connection: &Connection) {
        const SELDOM_MS: i64 = 10_000;
        if connection.row.last_event_at.is_some_and(|at| self.clock.now() - at < SELDOM_MS) {
            return;
        }
        if let Err(err) = self.store.touch_connection(connection.id).await {
            tracing::debug!(connection = %connection.id, error = %err, "last event not noted");
        }
    }
}
