//! The components shared by the API and the worker, built in one place.

use anyhow::anyhow;
use dmrelay_agent::{ChatAgent, Key, Retell, RetellOptions};
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_domain::current::Current;
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_media::Storage;
use dmrelay_notify::Notifier;
use dmrelay_queue::{JobQueue, MemoryOptions, MemoryQueue, QueueMetrics, RedisOptions, RedisQueue};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_runtime::settings::{
    AgentSettings, GraphSettings, MediaSettings, NotifySettings, ProviderSettings, QueueSettings,
    VaultSettings,
};
use dmrelay_store::Store;
use dmrelay_vault::Vault;
use std::sync::Arc;
use std::time::Duration;

/// Timeout of opening an outgoing connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The queue a process runs on. The database URL itself selects PostgreSQL or SQLite.
#[derive(Debug, Clone, Copy)]
pub enum Backend<'a> {
    /// An in-memory queue, with SQLite: a single process.
    Embedded,
    /// Redis, with PostgreSQL: any number of processes share both.
    Servers(&'a QueueSettings),
}

/// The settings of an [`App`], besides its database.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Which process it is.
    pub process: Process,
    /// The queue.
    pub backend: Backend<'a>,
    /// Meta.
    pub graph: &'a GraphSettings,
    /// Secrets.
    pub vault: &'a VaultSettings,
    /// How notifications leave.
    pub notify: &'a NotifySettings,
    /// Where media are kept.
    pub media: &'a MediaSettings,
}

/// The components shared by the API and the worker; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub store: Store,
    /// Encrypts and decrypts secrets.
    pub vault: Vault,
    /// The HTTP client for outgoing calls.
    pub client: Client,
    /// Meta.
    pub graph: Graph,
    /// Sends notifications.
    pub notifier: Notifier,
    /// Keeps media; none if they are not kept.
    pub media: Option<Storage>,
    /// The queue shared by all processes.
    pub queue: Arc<dyn JobQueue>,
    /// A queue of this process only, for when the shared one is down. Only with [`Backend::Servers`].
    pub local_queue: Option<Arc<dyn JobQueue>>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl App {
    /// Builds the components around an open database. Makes no calls: neither Redis nor Meta need be up.
    ///
    /// # Errors
    /// An invalid setting, by name.
    pub fn new(store: Store, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new(settings.process)?);
        let (queue, local_queue) = queues(settings.backend, QueueMetrics::register(&metrics.registry)?)?;
        let client = Client::new(CONNECT_TIMEOUT, metrics.clone()).map_err(|err| anyhow!(err))?;
        let notifier = Notifier::new(settings.notify, metrics.clone()).map_err(|err| anyhow!(err))?;
        Ok(Self {
            store,
            notifier,
            media: Storage::open(settings.media)?,
            vault: Vault::parse(&settings.vault.keys.require()?)?,
            graph: Graph::new(client.clone(), GraphOptions::from(settings.graph)),
            client,
            queue,
            local_queue,
            metrics,
            clock: Arc::new(SystemClock),
        })
    }

    /// The configured chat agent, which is asked with the operator's key.
    pub fn chat_agent(
        &self,
        settings: &AgentSettings,
        provider: &ProviderSettings,
        key: Current<Key>,
    ) -> Arc<dyn ChatAgent> {
        let options = RetellOptions {
            url: provider.retell_url.clone(),
            key,
            agent_version: settings.retell_agent_version.clone(),
            timeout: settings.agent_timeout,
        };
        Arc::new(Retell::new(self.client.clone(), options))
    }
}

type Queue = Arc<dyn JobQueue>;

/// The shared queue, and the local one if the shared one can be down.
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
