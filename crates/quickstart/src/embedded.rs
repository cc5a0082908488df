//! API and worker in this process, on SQLite and an in-process queue, against the simulator.

use crate::{Args, folder};
use anyhow::{Context as _, anyhow};
use clap::Parser;
use dmrelay_agent::{Retell, RetellOptions};
use dmrelay_api::{ApiOptions, ApiParts};
use dmrelay_domain::clock::SystemClock;
use dmrelay_domain::secret::Secret;
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_queue::{JobQueue, MemoryOptions, MemoryQueue, QueueMetrics};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::ops;
use dmrelay_runtime::settings::{
    AgentSettings, BootstrapKeyArg, GraphSettings, JwtSettings, LimitSettings, MetaAppSecretsArg,
    WorkerSettings,
};
use dmrelay_simulator::{AgentRule, Options, ReplyRule, Simulator, WebhookTarget};
use dmrelay_store::Store;
use dmrelay_vault::Vault;
use dmrelay_worker::{Dispatcher, Parts, Worker};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long a user must be quiet here: short, so that the demo is.
const DEBOUNCE_MS: u32 = 300;

/// How long started work has to end.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that runs in this process.
pub(crate) struct System {
    pub(crate) simulator: Simulator,
    pub(crate) keys: folder::Keys,
    /// The simulated customer of this start.
    pub(crate) customer: String,
    /// Where the API is.
    pub(crate) address: SocketAddr,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

/// The pipeline's settings, with their defaults.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    limits: LimitSettings,
    #[command(flatten)]
    jwt: JwtSettings,
    #[command(flatten)]
    graph: GraphSettings,
    #[command(flatten)]
    agent: AgentSettings,
    #[command(flatten)]
    worker: WorkerSettings,
}

/// Starts everything; it ends when `stop` is cancelled.
pub(crate) async fn start(args: &Args, stop: CancellationToken) -> anyhow::Result<System> {
    // What is most likely to be wrong comes first: the port, then the folder.
    let listener = ops::bind(args.api.api_addr, "API_ADDR").await.map_err(|err| anyhow!(err))?;
    let keys = folder::open(&args.data)?;
    let store = open_store(args).await?;
    let address = listener.local_addr()?;
    let simulator = simulate(args, &keys, address).await?;
    let defaults = settings(&keys, &simulator)?;
    let metrics = Arc::new(Metrics::new("quickstart")?);
    let queue_metrics = QueueMetrics::register(&metrics.registry)?;
    let queue: Arc<dyn JobQueue> = Arc::new(MemoryQueue::new(MemoryOptions::default(), queue_metrics));
    let client = Client::new(Duration::from_secs(5), metrics.clone()).map_err(|err| anyhow!(err))?;
    let base = Base { args, keys: &keys, store, metrics, queue: queue.clone(), client, address };
    let worker = Worker::new(base.worker(&defaults)?, queue, None);
    let api = base.api(&defaults)?;
    let tasks = vec![
        tokio::spawn(dmrelay_api::serve(api, listener, stop.clone(), GRACE)),
        tokio::spawn(worker.run(stop, GRACE)),
    ];
    Ok(System { simulator, keys, customer: crate::account::new_customer(), address, tasks })
}

async fn open_store(args: &Args) -> anyhow::Result<Store> {
    let options = dmrelay_store::Options {
        url: folder::database_url(&args.data),
        max_connections: 4,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(10),
    };
    let opened = Store::open(&options).await;
    let store = opened.with_context(|| format!("--data: no database in {}", args.data.display()))?;
    dmrelay_migration::migrate(store.connection())
        .await
        .context("--data: the database cannot be brought up to date")?;
    Ok(store)
}

/// A stand-in for Meta and Retell that sends its webhooks to the API.
async fn simulate(args: &Args, keys: &folder::Keys, api: SocketAddr) -> anyhow::Result<Simulator> {
    let options = Options { addr: args.simulator_addr, ..Options::default() };
    let simulator = Simulator::start(options)
        .await
        .map_err(|err| anyhow!("SIMULATOR_ADDR: {}: {err}", args.simulator_addr))?;
    simulator.set_webhook(Some(WebhookTarget {
        url: format!("http://{api}/webhooks/instagram"),
        app_secret: keys.app_secret.clone(),
        verify_token: keys.verify_token.clone(),
    }));
    let texts = vec!["Thank you for your message! You wrote: \"{input}\". We are happy to help.".to_owned()];
    let rule = AgentRule { reply: ReplyRule::Texts { texts }, latency_ms: 400, ..AgentRule::default() };
    simulator.put_agent(crate::account::AGENT, rule);
    Ok(simulator)
}

fn settings(keys: &folder::Keys, simulator: &Simulator) -> anyhow::Result<Defaults> {
    let mut defaults = Defaults::try_parse_from(["dmrelay"])?;
    defaults.graph.graph_url = Url::parse(&simulator.graph_url())?;
    defaults.graph.instagram_graph_url = Url::parse(&simulator.instagram_url())?;
    defaults.graph.app_secrets = MetaAppSecretsArg::of(&keys.app_secret);
    defaults.agent.retell_url = Url::parse(&simulator.retell_url())?;
    defaults.worker.debounce_ms = DEBOUNCE_MS;
    Ok(defaults)
}

/// What API and worker have in common.
struct Base<'a> {
    args: &'a Args,
    keys: &'a folder::Keys,
    store: Store,
    metrics: Arc<Metrics>,
    queue: Arc<dyn JobQueue>,
    client: Client,
    address: SocketAddr,
}

impl Base<'_> {
    fn vault(&self) -> anyhow::Result<Vault> {
        Ok(Vault::parse(&Secret::new(self.keys.encryption.clone()))?)
    }

    fn graph(&self, settings: &GraphSettings) -> Graph {
        Graph::new(self.client.clone(), GraphOptions::from(settings))
    }

    fn worker(&self, defaults: &Defaults) -> anyhow::Result<Parts> {
        let retell = RetellOptions {
            url: defaults.agent.retell_url.clone(),
            key: Secret::new("key_simulated".to_owned()),
            agent_version: defaults.agent.retell_agent_version.clone(),
            timeout: defaults.agent.agent_timeout,
        };
        Ok(Parts {
            store: self.store.clone(),
            vault: self.vault()?,
            graph: self.graph(&defaults.graph),
            agent: Arc::new(Retell::new(self.client.clone(), retell)),
            dispatcher: Dispatcher::new(self.queue.clone(), None),
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock),
            options: dmrelay_worker::Options::new(defaults.worker.clone(), &defaults.agent, &defaults.graph),
        })
    }

    fn api(&self, defaults: &Defaults) -> anyhow::Result<ApiParts> {
        let mut api = self.args.api.clone();
        api.bootstrap_key = BootstrapKeyArg::of(&self.keys.api_key);
        api.public_url = Url::parse(&format!("http://{}", self.address))?;
        let access = (defaults.limits.clone(), defaults.jwt.clone());
        Ok(ApiParts {
            store: self.store.clone(),
            vault: self.vault()?,
            graph: self.graph(&defaults.graph),
            client: self.client.clone(),
            queue: self.queue.clone(),
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock),
            options: ApiOptions::new(api, access, defaults.graph.clone(), defaults.worker.takeover_hours)?,
        })
    }
}

impl System {
    /// Waits until everything has ended.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        for task in self.tasks {
            task.await.context("a part of the process panicked")??;
        }
        self.simulator.stop().await;
        Ok(())
    }
}
