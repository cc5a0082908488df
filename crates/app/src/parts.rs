//! The parts that the API and the worker share, built in one place.

use anyhow::anyhow;
use dmrelay_agent::{ChatAgent, Retell, RetellOptions};
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_queue::{JobQueue, MemoryOptions, MemoryQueue, QueueMetrics, RedisOptions, RedisQueue};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::{AgentSettings, GraphSettings, QueueSettings, VaultSettings};
use dmrelay_store::Store;
use dmrelay_vault::Vault;
use std::sync::Arc;
use std::time::Duration;

/// How long an outgoing connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which queue a process runs on. The URL of the database decides by itself between PostgreSQL and SQLite.
#[derive(Debug, Clone, Copy)]
pub enum Backend<'a> {
    /// A queue in memory, with SQLite: there is only this one process.
    Embedded,
    /// Redis, with PostgreSQL: any number of processes share both.
    Servers(&'a QueueSettings),
}

/// The settings that an [`App`] is built from, beside its database.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The name of the process in its metrics.
    pub process: &'static str,
    /// The queue.
    pub backend: Backend<'a>,
    /// Meta.
    pub graph: &'a GraphSettings,
    /// Secrets.
    pub vault: &'a VaultSettings,
}

/// The parts that the API and the worker share; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub store: Store,
    /// Seals and opens secrets.
    pub vault: Vault,
    /// Makes outgoing HTTP calls.
    pub client: Client,
    /// Meta.
    pub graph: Graph,
    /// The queue of all processes.
    pub queue: Arc<dyn JobQueue>,
    /// A queue of this process alone, for when the shared one is down. Only with [`Backend::Servers`].
    pub local_queue: Option<Arc<dyn JobQueue>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Reads the time.
    pub clock: Arc<dyn Clock>,
}

impl App {
    /// Builds the parts around an open database. Nothing is called: neither Redis nor Meta need be up.
    ///
    /// # Errors
    /// The setting that cannot be used, named.
    pub fn new(store: Store, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(settings.process)?);
        let (queue, local_queue) = queues(settings.backend, QueueMetrics::register(&metrics.registry)?)?;
        let client = Client::new(CONNECT_TIMEOUT, metrics.clone()).map_err(|err| anyhow!(err))?;
        Ok(Self {
            store,
            vault: Vault::parse(&settings.vault.keys.require()?)?,
            graph: Graph::new(client.clone(), GraphOptions::from(settings.graph)),
            client,
            queue,
            local_queue,
            metrics,
            clock: Arc::new(SystemClock),
        })
    }

    /// The chat agent of these settings.
    ///
    /// # Errors
    /// What is wrong with `RETELL_API_KEY`.
    pub fn chat_agent(&self, settings: &AgentSettings) -> anyhow::Result<Arc<dyn ChatAgent>> {
        let options = RetellOptions {
            url: settings.retell_url.clone(),
            key: settings.api_key.require()?,
            agent_version: settings.retell_agent_version.clone(),
            timeout: settings.agent_timeout,
        };
        Ok(Arc::new(Retell::new(self.client.clone(), options)))
    }
}

type Queue = Arc<dyn JobQueue>;

/// The shared queue, and the one of this process where the shared one may be down.
fn queues(backend: Backend<'_>, metrics: QueueMetrics) -> anyhow::Result<(Queue, Option<Queue>)> {
    let memory: Queue = Arc::new(MemoryQueue::new(MemoryOptions::default(), metrics.clone()));
    match backend {
        Backend::Embedded => Ok((memory, None)),
        Backend::Servers(settings) => {
            let url = settings.url.require()?;
            let options = RedisOptions {
                namespace: settings.redis_namespace.clone(),
                max_waiting: settings.queue_max_waiting,
                ..RedisOptions::new(url.expose().clone())
            };
            Ok((Arc::new(RedisQueue::connect(options, metrics)?), Some(memory)))
        }
    }
}
