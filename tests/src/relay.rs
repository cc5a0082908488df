//! API and worker inside the test's process, on either footing, against the simulator.

use crate::postgres::PostgresServer;
use crate::redis::RedisServer;
use crate::rest::{ACCOUNT, APP_SECRET, Rest, TOKEN, VERIFY_TOKEN};
use crate::settings::Settings;
use anyhow::{Context, Result, anyhow, ensure};
use dmrelay_agent::{Retell, RetellOptions};
use dmrelay_api::{ApiOptions, ApiParts};
use dmrelay_domain::clock::SystemClock;
use dmrelay_domain::secret::Secret;
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_queue::{JobQueue, MemoryOptions, MemoryQueue, QueueMetrics, RedisOptions, RedisQueue};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_simulator::{AccountSpec, Options, Simulator, WebhookTarget};
use dmrelay_store::Store;
use dmrelay_vault::Vault;
use dmrelay_worker::{Dispatcher, Parts, Worker};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// On what a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Footing {
    /// SQLite and the in-process queue.
    Embedded,
    /// PostgreSQL and Redis.
    Servers,
}

/// A running dmrelay with everything around it.
pub struct Relay {
    /// Meta and Retell.
    pub simulator: Simulator,
    /// The database.
    pub store: Store,
    /// The frontend.
    pub rest: Rest,
    /// Where the API listens.
    pub address: SocketAddr,
    /// The metrics of both.
    pub metrics: Arc<Metrics>,
    /// PostgreSQL, on the footing of servers.
    pub postgres: Option<PostgresServer>,
    /// Redis, on the footing of servers.
    pub redis: Option<RedisServer>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Result<()>>>,
    _dir: TempDir,
}

impl Relay {
    /// Starts with the tests' settings, changed by `adjust`; nothing is connected yet.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(footing: Footing, adjust: impl FnOnce(&mut Settings)) -> Result<Self> {
        let mut settings = Settings::for_tests()?;
        adjust(&mut settings);
        let dir = tempfile::tempdir()?;
        let (postgres, redis) = match footing {
            Footing::Embedded => (None, None),
            Footing::Servers => (Some(PostgresServer::start()?), Some(RedisServer::start()?)),
        };
        let sqlite = format!("sqlite://{}?mode=rwc", dir.path().join("test.db").display());
        let store = open_store(postgres.as_ref().map_or(sqlite, PostgresServer::url)).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let simulator = simulator(address).await?;
        settings.graph.graph_url = Url::parse(&simulator.graph_url())?;
        settings.graph.instagram_graph_url = Url::parse(&simulator.instagram_url())?;
        settings.agent.retell_url = Url::parse(&simulator.retell_url())?;
        let metrics = Arc::new(Metrics::new("tests")?);
        let stop = CancellationToken::new();
        let wiring = Wiring { settings, store: store.clone(), metrics: metrics.clone(), stop: stop.clone() };
        let tasks = wiring.run(listener, redis.as_ref())?;
        let rest = Rest::new(address)?;
        Ok(Self { simulator, store, rest, address, metrics, postgres, redis, stop, tasks, _dir: dir })
    }

    /// Starts, and connects the tests' account.
    ///
    /// # Errors
    /// When a part does not start, or the account is not connected.
    pub async fn connected(footing: Footing, adjust: impl FnOnce(&mut Settings)) -> Result<Self> {
        let relay = Self::start(footing, adjust).await?;
        let answer = relay.rest.connect().await?;
        ensure!(answer.status == 201, "connect: {} {}", answer.status, answer.text);
        Ok(relay)
    }

    /// The texts sent to a user, in order, once there are `count`.
    ///
    /// # Errors
    /// When there are fewer in time.
    pub async fn replies(&self, user: &str, count: usize) -> Result<Vec<String>> {
        let within = Duration::from_secs(20);
        let what = format!("{count} replies to {user}");
        let sent = self
            .simulator
            .wait_for(&what, within, |record| record.sends_to(ACCOUNT, user).count() >= count)
            .await;
        sent.map_err(|err| anyhow!("{err}; there are {:?}", self.sent(user)))?;
        Ok(self.sent(user))
    }

    /// The texts sent to a user until now.
    pub fn sent(&self, user: &str) -> Vec<String> {
        self.simulator.record(|record| {
            record.sends_to(ACCOUNT, user).map(|sent| sent.text.clone().unwrap_or_default()).collect()
        })
    }

    /// What the agent was asked, in order.
    pub fn asked(&self) -> Vec<String> {
        self.simulator
            .record(|record| record.completions.iter().map(|completion| completion.content.clone()).collect())
    }

    /// The messages of a user as the API lists them, oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn messages(&self, user: &str) -> Result<Vec<serde_json::Value>> {
        let answer = self.rest.get(&format!("messages?user={user}&limit=200")).await?;
        let mut items = answer.json["items"].as_array().cloned().context("no items")?;
        items.reverse();
        Ok(items)
    }

    /// Waits until nothing is due any more.
    ///
    /// # Errors
    /// When something still is.
    pub async fn settled(&self) -> Result<()> {
        crate::wait::until("nothing due", Duration::from_secs(30), async || {
            let webhooks = self.simulator.record(dmrelay_simulator::Record::webhooks_idle);
            Ok((webhooks && !self.store.anything_due().await?).then_some(()))
        })
        .await
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When a part failed.
    pub async fn end(mut self) -> Result<()> {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await??;
        }
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Opens a database and brings its schema up to date.
///
/// # Errors
/// When it cannot be opened.
pub async fn open_store(url: String) -> Result<Store> {
    let options = dmrelay_store::Options {
        url,
        max_connections: 20,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(10),
    };
    let store = Store::open(&options).await?;
    dmrelay_migration::migrate(store.connection()).await?;
    Ok(store)
}

/// A simulator whose webhooks go to `api`, with the tests' account.
///
/// # Errors
/// When it does not start.
pub async fn simulator(api: SocketAddr) -> Result<Simulator> {
    let simulator = Simulator::start(Options::default()).await?;
    simulator.set_webhook(Some(WebhookTarget {
        url: format!("http://{api}/webhooks/instagram"),
        app_secret: APP_SECRET.to_owned(),
        verify_token: VERIFY_TOKEN.to_owned(),
    }));
    simulator.put_account(AccountSpec::new(ACCOUNT, "acme", TOKEN));
    Ok(simulator)
}

struct Wiring {
    settings: Settings,
    store: Store,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Wiring {
    fn run(self, listener: TcpListener, redis: Option<&RedisServer>) -> Result<Vec<JoinHandle<Result<()>>>> {
        let queue_metrics = QueueMetrics::register(&self.metrics.registry)?;
        let memory: Arc<dyn JobQueue> =
            Arc::new(MemoryQueue::new(MemoryOptions::default(), queue_metrics.clone()));
        let (shared, local): (Arc<dyn JobQueue>, _) = match redis {
            None => (memory, None),
            Some(redis) => {
                (Arc::new(RedisQueue::connect(RedisOptions::new(redis.url()), queue_metrics)?), Some(memory))
            }
        };
        let client = Client::new(Duration::from_secs(1), self.metrics.clone()).map_err(|err| anyhow!(err))?;
        let vault = Vault::parse(&Secret::new(Vault::generate("k1")))?;
        let graph = self.graph(client.clone());
        let grace = Duration::from_secs(10);
        let api = ApiParts {
            store: self.store.clone(),
            vault: vault.clone(),
            graph: graph.clone(),
            client: client.clone(),
            queue: shared.clone(),
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock),
            options: ApiOptions::new(
                self.settings.api.clone(),
                (self.settings.limits.clone(), self.settings.jwt.clone()),
                self.settings.graph.clone(),
                12,
            )?,
        };
        let settings = &self.settings;
        let retell = RetellOptions {
            url: settings.agent.retell_url.clone(),
            key: Secret::new("key_simulated".to_owned()),
            agent_version: settings.agent.retell_agent_version.clone(),
            timeout: settings.agent.agent_timeout,
        };
        let worker = Parts {
            store: self.store.clone(),
            vault,
            graph,
            agent: Arc::new(Retell::new(client, retell)),
            dispatcher: Dispatcher::new(shared.clone(), local.clone()),
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock),
            options: dmrelay_worker::Options::new(settings.worker.clone(), &settings.agent, &settings.graph),
        };
        let worker = Worker::new(worker, shared, local);
        Ok(vec![
            tokio::spawn(dmrelay_api::serve(api, listener, self.stop.clone(), grace)),
            tokio::spawn(worker.run(self.stop, grace)),
        ])
    }

    fn graph(&self, client: Client) -> Graph {
        let settings = &self.settings.graph;
        Graph::new(client, GraphOptions::from(settings))
    }
}
