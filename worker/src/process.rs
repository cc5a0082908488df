//! The worker process: wires its dependencies, runs the queues' lanes and the services, and shuts down in
//! order.

use crate::backfill;
use crate::handler::Handler;
use crate::{Context, Parts, ingest, services};
use crate::{broadcasts, comments, media, notify};
use anyhow::{Context as _, anyhow};
use clap::{Parser, Subcommand};
use dmrelay_agent::Key;
use dmrelay_app::{App, Backend};
use dmrelay_domain::current::Current;
use dmrelay_queue::{JobQueue, Lane, QueueName, Stop};
use dmrelay_runtime::metrics::Process;
use dmrelay_runtime::ops::{self, Ready};
use dmrelay_runtime::settings::{
    AgentSettings, DatabaseSettings, GraphSettings, LogSettings, MediaSettings, MetricsSettings,
    NotifySettings, ProviderSettings, QueueSettings, VaultSettings, WorkerSettings,
};
use dmrelay_runtime::shutdown::Hangup;
use dmrelay_runtime::{logs, shutdown, version};
use dmrelay_store::{BreakerKey, Store};
use dmrelay_vault::Vault;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// dmrelay's worker: answers Instagram direct messages with the chat agent.
#[derive(Debug, Clone, Parser)]
#[command(name = "dmrelay-worker", version = version::TEXT, mut_arg("metrics_addr", |arg| arg.default_value("127.0.0.1:9091")))]
pub struct Args {
    /// The command; default: work.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// The queue.
    #[command(flatten)]
    pub queue: QueueSettings,
    /// Meta.
    #[command(flatten)]
    pub graph: GraphSettings,
    /// The agent's provider.
    #[command(flatten)]
    pub provider: ProviderSettings,
    /// The agent.
    #[command(flatten)]
    pub agent: AgentSettings,
    /// Secrets.
    #[command(flatten)]
    pub vault: VaultSettings,
    /// How notifications leave.
    #[command(flatten)]
    pub notify: NotifySettings,
    /// Where media are kept.
    #[command(flatten)]
    pub media: MediaSettings,
    /// The pipeline.
    #[command(flatten)]
    pub worker: WorkerSettings,
    /// Metrics and health, on another port than the API's so that both can run on one machine.
    #[command(flatten)]
    pub metrics: MetricsSettings,
    /// Logs.
    #[command(flatten)]
    pub logs: LogSettings,
}

/// The commands of the binary. Settings go before the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Work (the default).
    Work,
    /// Check whether the worker at METRICS_ADDR is ready; exit code 1 if it is not. For health checks without
    /// a shell.
    Health,
}

/// How often a worker that stops says how much is left.
const DRAIN_INTERVAL: Duration = Duration::from_secs(2);

/// A worker with its dependencies.
pub struct Worker {
    ctx: Arc<Context>,
    shared: Arc<dyn JobQueue>,
    local: Option<Arc<dyn JobQueue>>,
}

impl Worker {
    /// A worker with these dependencies.
    pub fn new(parts: Parts) -> Self {
        let (shared, local) = (parts.app.queue.clone(), parts.app.local_queue.clone());
        Self { ctx: Arc::new(Context::new(parts)), shared, local }
    }

    /// Reports whether the worker is ready, with all that is not: its row is renewed, what it writes gets through, the
    /// poller's ticks succeed, and Redis responds.
    pub fn ready(&self) -> Ready {
        let (ctx, redis) = (self.ctx.clone(), dmrelay_app::redis_ready(self.shared.clone()));
        Arc::new(move || {
            let (ctx, redis) = (ctx.clone(), redis());
            Box::pin(async move {
                let renewed =
                    ctx.liveness.is_alive().then_some(()).ok_or_else(|| "it is not renewed".to_owned());
                let checks = [
                    ("this worker's row", renewed),
                    ("writes", ctx.writing.check()),
                    ("poller", ctx.polling.check()),
                    ("pauses", ctx.breakers.check()),
                    ("Redis", redis.await),
                ];
                let failed =
                    checks.into_iter().filter_map(|(what, found)| Some(format!("{what}: {}", found.err()?)));
                let failed: Vec<String> = failed.collect();
                if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
            })
        })
    }

    /// Runs until the token is cancelled and started work has ended, or the grace period is over.
    ///
    /// # Errors
    /// A queue failed permanently.
    pub async fn run(self, stop: CancellationToken, grace: Duration) -> anyhow::Result<()> {
        let Self { ctx, shared, local } = self;
        let slots = usize::from(ctx.options.worker.worker_concurrency);
        for kind in ["turn", "deliver"] {
            ctx.metrics.job_slots.with_label_values(&[kind]).add(i64::try_from(slots).unwrap_or(i64::MAX));
        }
        let ended = CancellationToken::new();
        let heartbeat = tokio::spawn(services::heartbeat::run(ctx.clone(), ended.clone()));
        tokio::spawn(services::heartbeat::watch_breakers(ctx.clone()));
        tokio::spawn(services::heartbeat::probe_writes(ctx.clone()));
        let inbox = tokio::spawn(ingest::run(ctx.clone()));
        let handler = Arc::new(Handler { ctx: ctx.clone() });
        let mut running = services::start(&ctx, &stop);
        running.push(tokio::spawn(backfill::run(ctx.clone(), stop.clone())));
        running.push(tokio::spawn(notify::run(ctx.clone(), stop.clone())));
        running.push(tokio::spawn(broadcasts::run(ctx.clone(), stop.clone())));
        running.push(tokio::spawn(comments::run(ctx.clone(), stop.clone())));
        if let Some(media) = ctx.media.clone() {
            running.push(tokio::spawn(media::run(ctx.clone(), media, stop.clone())));
        }
        // A worker that others may consider dead takes no jobs.
        let fetch = Some(ctx.liveness.watch());
        let stopping = Stop { shutdown: stop.clone(), grace, fetch };
        let shared = shared.run(lanes(slots), handler.clone(), stopping.clone());
        let local = async {
            match &local {
                Some(local) => local.run(lanes(slots), handler.clone(), stopping.clone()).await,
                None => Ok(()),
            }
        };
        let stopped = async {
            stop.cancelled().await;
            ctx.stopping.cancel();
            Ok(())
        };
        let draining = tokio::spawn(draining(ctx.clone(), stop.clone()));
        let outcome = tokio::try_join!(shared, local, stopped).map(|_| ());
        stop.cancel();
        ctx.stopping.cancel();
        let _ = inbox.await;
        // Started work may finish; what does not is reconciled like the work of a dead worker.
        ctx.tasks.close();
        if tokio::time::timeout(grace, ctx.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = ctx.tasks.len(), "grace period over: aborting what still runs");
        }
        draining.abort();
        for service in running {
            let _ = service.await;
        }
        ended.cancel();
        let _ = heartbeat.await;
        outcome.context("the queue failed permanently")
    }
}

/// Says how much is left, once the worker stops, until it has ended.
async fn draining(ctx: Arc<Context>, stop: CancellationToken) {
    stop.cancelled().await;
    let mut ticks = tokio::time::interval(DRAIN_INTERVAL);
    loop {
        ticks.tick().await;
        let running = |kind: &str| ctx.metrics.jobs_running.with_label_values(&[kind]).get();
        tracing::info!(
            questions = running("turn"),
            sends = running("deliver"),
            tasks = ctx.tasks.len(),
            "finishing started work"
        );
    }
}

/// Retries have their own lanes, a quarter of the slots.
fn lanes(slots: usize) -> Vec<Lane> {
    QueueName::ALL
        .into_iter()
        .map(|queue| {
            let retries = matches!(queue, QueueName::TurnRetry | QueueName::DeliverRetry);
            Lane { queue, concurrency: if retries { (slots / 4).max(1) } else { slots.max(1) } }
        })
        .collect()
}

/// Runs the process until a signal ends it.
///
/// # Errors
/// If it cannot start (the error names the setting), or a queue failed permanently.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if let Some(Command::Health) = args.command {
        return ops::probe(args.metrics.metrics_addr).await.map_err(|err| anyhow!(err));
    }
    logs::init(&args.logs, "dmrelay-worker").map_err(|err| anyhow!(err))?;
    dmrelay_runtime::settings::warn_of_misspelt();
    let stop = shutdown::on_signal().context("cannot install signal handlers")?;
    let hangup = Hangup::new().context("cannot install signal handlers")?;
    let store = dmrelay_app::open_store(&args.database).await?;
    dmrelay_app::require_schema(&store).await?;
    let app = App::new(store, &args.app_settings())?;
    let parts = Parts::new(app.clone(), args.worker.clone(), (&args.agent, &args.provider), &args.graph)?;
    dmrelay_app::require_keys(&app.vault, &app.store).await?;

    dmrelay_app::watch(&app.store, &app.queue, &app.metrics, &stop);
    let reread = Reread {
        args: Arc::new(args.clone()),
        vault: app.vault.clone(),
        store: app.store.clone(),
        agent_key: parts.agent_key.clone(),
    };
    hangup.on_each(stop.clone(), move || {
        let reread = reread.clone();
        async move { Box::pin(reread.now()).await.map_err(|err| format!("{err:#}")) }
    });
    let worker = Worker::new(parts);
    dmrelay_app::serve_operators(&args.metrics, app.metrics, worker.ready(), stop.clone()).await?;
    tracing::info!(concurrency = args.worker.worker_concurrency, metrics = %args.metrics.metrics_addr, version = version::TEXT, "worker started");
    worker.run(stop, args.metrics.shutdown_grace).await?;
    tracing::info!("worker stopped");
    logs::flush().await;
    Ok(())
}

/// What is read again on SIGHUP.
#[derive(Clone)]
struct Reread {
    args: Arc<Args>,
    vault: Vault,
    store: Store,
    agent_key: Current<Key>,
}

impl Reread {
    /// Reads again what is logged and all secrets but those of the database and Redis, whose connections are open.
    async fn now(&self) -> anyhow::Result<String> {
        let agent_key = self.args.agent.api_key.require()?;
        let keys = Vault::parse(&self.args.vault.keys.require()?)?;
        dmrelay_app::require_keys(&keys, &self.store).await?;
        logs::reload(&self.args.logs).map_err(|err| anyhow!(err))?;
        self.vault.replace(&keys);
        let is_new = agent_key.expose() != self.agent_key.get().expose();
        self.agent_key.set(agent_key);
        if is_new && let Err(err) = self.store.reset_breaker(&BreakerKey::Agent).await {
            tracing::warn!(error = %err, "cannot close the agent's circuit breaker; it is probed later");
        }
        Ok(format!("the log filter, encryption keys {}, the agent's key", keys.key_ids().join(" ")))
    }
}

impl Args {
    fn app_settings(&self) -> dmrelay_app::Settings<'_> {
        dmrelay_app::Settings {
            process: Process::Worker,
            backend: Backend::Servers(&self.queue),
            graph: &self.graph,
            vault: &self.vault,
            notify: &self.notify,
            media: &self.media,
        }
    }
}
