//! The API process: reads its settings, serves, and ends in order; and the commands of its operator.

use crate::listener::{self, ListenerOptions};
use crate::routes;
use crate::state::{ApiOptions, ApiParts, ApiState};
use anyhow::{Context as _, anyhow};
use clap::{Parser, Subcommand};
use dmrelay_domain::clock::SystemClock;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_instagram::{Graph, GraphOptions};
use dmrelay_queue::{JobQueue, QueueMetrics, RedisOptions, RedisQueue};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::ops::{self, Ready};
use dmrelay_runtime::settings::{
    ApiSettings, DatabaseSettings, GraphSettings, JwtSettings, LimitSettings, LogSettings, MetricsSettings,
    QueueSettings, VaultSettings,
};
use dmrelay_runtime::{logs, shutdown};
use dmrelay_store::{NewApiKey, Store};
use dmrelay_vault::Vault;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// dmrelay's API: takes Meta's webhooks and serves the frontend.
#[derive(Debug, Parser)]
#[command(name = "dmrelay-api", version)]
pub struct Args {
    /// What to do; serves by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// The queue.
    #[command(flatten)]
    pub queue: QueueSettings,
    /// Listeners and limits.
    #[command(flatten)]
    pub api: ApiSettings,
    /// Tokens beside API keys.
    #[command(flatten)]
    pub jwt: JwtSettings,
    /// How often somebody may call, and from where.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Meta.
    #[command(flatten)]
    pub graph: GraphSettings,
    /// Secrets.
    #[command(flatten)]
    pub vault: VaultSettings,
    /// How long the agent is silent after a person wrote, in hours.
    #[arg(long, env = "TAKEOVER_HOURS", default_value_t = 12)]
    pub takeover_hours: u32,
    /// Apply pending migrations before serving, instead of refusing to start.
    #[arg(long, env = "MIGRATE_ON_START", default_value_t = false)]
    pub migrate_on_start: bool,
    /// Metrics and health.
    #[command(flatten)]
    pub metrics: MetricsSettings,
    /// Logs.
    #[command(flatten)]
    pub logs: LogSettings,
}

/// What an operator can ask of the binary. Settings stand before the command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve webhooks and REST (the default).
    Serve,
    /// Bring the database's schema up to date, and end.
    Migrate,
    /// Print the OpenAPI document of the REST API, and end.
    Openapi,
    /// Make an API key and print it, once.
    CreateKey {
        /// The subaccount it is for.
        #[arg(long)]
        subaccount: String,
        /// viewer, operator, admin or owner.
        #[arg(long, default_value = "owner")]
        role: String,
        /// What people call it.
        #[arg(long, default_value = "created at the command line")]
        name: String,
    },
}

/// How long one statement of a migration may take.
const MIGRATION: Duration = Duration::from_hours(6);

/// How long a connection to Meta may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Runs the command, or serves until a signal ends the process.
///
/// # Errors
/// What keeps it from starting, named by its setting.
pub async fn run(args: Args) -> anyhow::Result<()> {
    logs::init(&args.logs).map_err(|err| anyhow!(err))?;
    if let Some(Command::Openapi) = args.command {
        println!("{:#}", routes::document());
        return Ok(());
    }
    if let Some(Command::Migrate) = args.command {
        // A change of a big table takes its time.
        let database = DatabaseSettings { database_statement_timeout: MIGRATION, ..args.database };
        return migrate(&open_store(&database).await?).await;
    }
    let store = open_store(&args.database).await?;
    match &args.command {
        Some(Command::CreateKey { subaccount, role, name }) => {
            println!("{}", create_key(&store, subaccount, role, name).await?);
            Ok(())
        }
        Some(Command::Serve | Command::Openapi | Command::Migrate) | None => {
            Box::pin(start(args, store)).await
        }
    }
}

async fn open_store(settings: &DatabaseSettings) -> anyhow::Result<Store> {
    let url = settings.url.require()?;
    let options = dmrelay_store::Options {
        url: url.expose().clone(),
        max_connections: settings.database_max_connections,
        acquire_timeout: settings.database_acquire_timeout,
        statement_timeout: settings.database_statement_timeout,
    };
    Ok(Store::open(&options).await?)
}

async fn migrate(store: &Store) -> anyhow::Result<()> {
    let applied =
        dmrelay_migration::migrate(store.connection()).await.context("DATABASE_URL: migration failed")?;
    println!("{applied} changes applied, the schema is up to date");
    Ok(())
}

/// A new key of 256 random bits, of which only the hash is stored.
async fn create_key(store: &Store, subaccount: &str, role: &str, name: &str) -> anyhow::Result<String> {
    let subaccount = SubaccountId::parse(subaccount).context("--subaccount")?;
    let role =
        Role::parse(role).ok_or_else(|| anyhow!("--role: must be viewer, operator, admin or owner"))?;
    let (key, hash) = crate::keys::generate();
    let created_by = "command line".to_owned();
    let new = NewApiKey { subaccount, role, name: name.to_owned(), hash, expires_at: None, created_by };
    store.create_api_key(&new).await.context("the key cannot be stored")?;
    Ok(key)
}

async fn start(args: Args, store: Store) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("signals cannot be handled")?;
    let pending = dmrelay_migration::pending(store.connection()).await;
    let pending = pending.context("DATABASE_URL: the database does not answer")?;
    if args.migrate_on_start {
        migrate(&store).await?;
    } else if let Some(missing) = pending.first() {
        return Err(anyhow!(
            "the database lacks the schema change {missing}; run: dmrelay-api migrate (or set MIGRATE_ON_START=true)"
        ));
    }
    let metrics = Arc::new(Metrics::new("api")?);
    let url = args.queue.url.require()?;
    let queue = RedisOptions {
        namespace: args.queue.redis_namespace.clone(),
        max_waiting: args.queue.queue_max_waiting,
        ..RedisOptions::new(url.expose().clone())
    };
    let queue: Arc<dyn JobQueue> =
        Arc::new(RedisQueue::connect(queue, QueueMetrics::register(&metrics.registry)?)?);
    let parts = parts(&args, store.clone(), &metrics, queue)?;
    let connections = store.snapshot().await.context("the connections cannot be read")?;
    let missing = parts.vault.missing(connections.iter().flat_map(dmrelay_store::Connection::sealed));
    if !missing.is_empty() {
        return Err(anyhow!(
            "ENCRYPTION_KEYS: connections are sealed with keys that are missing: {missing:?}"
        ));
    }
    let operators = ops::bind(args.metrics.metrics_addr, "METRICS_ADDR").await.map_err(|err| anyhow!(err))?;
    let listener = ops::bind(args.api.api_addr, "API_ADDR").await.map_err(|err| anyhow!(err))?;
    let ready = readiness(store);
    let router = ops::router(metrics, ready, stop.clone());
    let end = stop.clone();
    tokio::spawn(async move {
        if let Err(err) = axum::serve(operators, router).with_graceful_shutdown(end.cancelled_owned()).await {
            tracing::error!(error = %err, "the metrics port failed");
        }
    });
    tracing::info!(address = %args.api.api_addr, metrics = %args.metrics.metrics_addr, "api started");
    serve(parts, listener, stop, args.metrics.shutdown_grace).await?;
    tracing::info!("api stopped");
    Ok(())
}

fn parts(
    args: &Args,
    store: Store,
    metrics: &Arc<Metrics>,
    queue: Arc<dyn JobQueue>,
) -> anyhow::Result<ApiParts> {
    let client = Client::new(CONNECT, metrics.clone()).map_err(|err| anyhow!(err))?;
    let graph = GraphOptions::from(&args.graph);
    let access = (args.limits.clone(), args.jwt.clone());
    Ok(ApiParts {
        store,
        vault: Vault::parse(&args.vault.keys.require()?)?,
        graph: Graph::new(client.clone(), graph),
        client,
        queue,
        metrics: metrics.clone(),
        clock: Arc::new(SystemClock),
        options: ApiOptions::new(args.api.clone(), access, args.graph.clone(), args.takeover_hours)?,
    })
}

/// Serves until `stop` is cancelled and started requests have ended, or the grace is over.
///
/// # Errors
/// When the connections cannot be read, or the listener fails.
pub async fn serve(
    parts: ApiParts,
    listener: TcpListener,
    stop: CancellationToken,
    grace: Duration,
) -> anyhow::Result<()> {
    // The inbox writer ends after the requests that wait for it.
    let drained = CancellationToken::new();
    let store = parts.store.clone();
    let limits = ListenerOptions {
        header_timeout: parts.options.api.header_timeout,
        connections: parts.options.api.api_connections,
    };
    let state = ApiState::start(parts, &stop, &drained).await?;
    let router = routes::router(&state).merge(ops::health(readiness(store), stop.clone()));
    let stopping = stop.clone();
    let serving = listener::serve(listener, router, limits, stop);
    let too_long = async {
        stopping.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let served = tokio::select! {
        served = serving => served.context("the listener failed"),
        () = too_long => {
            tracing::warn!("requests were still open when the grace was over");
            Ok(())
        }
    };
    drained.cancel();
    served
}

fn readiness(store: Store) -> Ready {
    Arc::new(move || {
        let store = store.clone();
        // Redis is no condition: webhooks are taken without it.
        Box::pin(async move { store.ping().await.map_err(|err| format!("database: {err}")) })
    })
}
