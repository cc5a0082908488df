//! The API process: reads its settings, serves, and shuts down in order; and the operator's commands.

use crate::health;
use crate::jwt::Tokens;
use crate::listener::{self, ListenerOptions};
use crate::routes;
use crate::state::{ApiOptions, ApiParts, ApiState};
use anyhow::{Context as _, anyhow};
use clap::{Parser, Subcommand};
use dmrelay_admin::{self as admin, Admin, ApiChecks};
use dmrelay_app::{App, Backend};
use dmrelay_runtime::http::Client;
use dmrelay_runtime::metrics::Process;
use dmrelay_runtime::ops::{self, Ready};
use dmrelay_runtime::settings::{
    ApiSettings, DatabaseSettings, GraphSettings, InvalidSetting, JwtSettings, LimitSettings, LogSettings,
    MediaSettings, MetricsSettings, NotifySettings, ProviderSettings, QueueSettings, VaultSettings,
};
use dmrelay_runtime::shutdown::Hangup;
use dmrelay_runtime::{logs, shutdown, version};
use dmrelay_store::Store;
use dmrelay_vault::Vault;
use dmrelay_views::SettingDefaults;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// dmrelay's API: takes Meta's webhooks and serves the frontend.
#[derive(Debug, Parser)]
#[command(name = "dmrelay-api", version = version::TEXT)]
pub struct Args {
    /// The command; default: serve.
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
    /// JWT authentication.
    #[command(flatten)]
    pub jwt: JwtSettings,
    /// Rate limits and CORS.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Meta.
    #[command(flatten)]
    pub graph: GraphSettings,
    /// The agent's provider, where subaccounts have keys of their own.
    #[command(flatten)]
    pub provider: ProviderSettings,
    /// Secrets.
    #[command(flatten)]
    pub vault: VaultSettings,
    /// How notifications leave.
    #[command(flatten)]
    pub notify: NotifySettings,
    /// Where media are kept.
    #[command(flatten)]
    pub media: MediaSettings,
    /// Hours the agent stays silent after a human agent writes.
    #[arg(long, env = "TAKEOVER_HOURS", default_value_t = 12)]
    pub takeover_hours: u32,
    /// How long a user must be silent before the agent is asked, in milliseconds; as the workers have it, to be shown.
    #[arg(long, env = "DEBOUNCE_MS", default_value_t = 1_500)]
    pub debounce_ms: u32,
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

/// The commands of the binary. Settings go before the command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve webhooks and REST (the default).
    Serve,
    /// Apply pending database migrations and exit.
    Migrate,
    /// Check whether the API at METRICS_ADDR is ready; exit code 1 if it is not. For health checks without a
    /// shell.
    Health,
    /// Print the OpenAPI document of the REST API and exit.
    Openapi,
    /// Administer an installation: keys, secrets, dead letters and accounts.
    #[command(subcommand, after_help = admin::EXIT_CODES)]
    Admin(Admin),
}

/// Runs the command, or serves until a signal stops the process.
///
/// # Errors
/// If it cannot start; the error names the setting.
pub async fn run(mut args: Args) -> anyhow::Result<()> {
    match args.command.take() {
        Some(Command::Health) => ops::probe(args.metrics.metrics_addr).await.map_err(|err| anyhow!(err)),
        Some(Command::Openapi) => {
            println!("{:#}", routes::document());
            Ok(())
        }
        Some(Command::Admin(command)) => admin::run(&command, &args.admin_settings()).await,
        command => {
            logs::init(&args.logs, "dmrelay-api").map_err(|err| anyhow!(err))?;
            dmrelay_runtime::settings::warn_of_misspelt();
            let outcome = with_database(args, command).await;
            logs::flush().await;
            outcome
        }
    }
}

async fn with_database(args: Args, command: Option<Command>) -> anyhow::Result<()> {
    if let Some(Command::Migrate) = command {
        return admin::migrate(&args.database).await;
    }
    let store = dmrelay_app::open_store(&args.database).await?;
    Box::pin(start(args, store)).await
}

async fn start(args: Args, store: Store) -> anyhow::Result<()> {
    let stop = shutdown::on_signal().context("cannot install signal handlers")?;
    let hangup = Hangup::new().context("cannot install signal handlers")?;
    if args.migrate_on_start {
        dmrelay_app::migrate(&store).await?;
    }
    dmrelay_app::require_schema(&store).await?;
    let app = App::new(store, &args.app_settings())?;
    let options = args.options()?;
    dmrelay_app::require_keys(&app.vault, &app.store).await?;
    let listener = ops::bind(args.api.api_addr, "API_ADDR").await.map_err(|err| anyhow!(err))?;
    dmrelay_app::watch(&app.store, &app.queue, &app.metrics, &stop);
    let metrics = app.metrics.clone();
    if options.secrets.bootstrap_hash.is_some() {
        tracing::warn!(
            "BOOTSTRAP_API_KEY is given: whoever has it may do everything in every subaccount; it is for the first steps only: \
             create keys with admin keys create, and remove it"
        );
    }
    let (vault, store) = (app.vault.clone(), app.store.clone());
    let api = Api::start(ApiParts::new(app, options), stop.clone()).await?;
    let args = Arc::new(args);
    let (reread, state) = (args.clone(), api.state.clone());
    hangup.on_each(stop.clone(), move || {
        let (args, state, vault, store) = (reread.clone(), state.clone(), vault.clone(), store.clone());
        async move { Box::pin(args.reload(&state, (&vault, &store))).await.map_err(|err| format!("{err:#}")) }
    });
    dmrelay_app::serve_operators(&args.metrics, metrics, api.ready(), stop).await?;
    tracing::info!(address = %args.api.api_addr, metrics = %args.metrics.metrics_addr, version = version::TEXT, "api started");
    api.serve(listener, args.metrics.shutdown_grace).await?;
    tracing::info!("api stopped");
    Ok(())
}

impl Args {
    fn admin_settings(&self) -> admin::Settings<'_> {
        admin::Settings {
            database: &self.database,
            queue: &self.queue,
            api: &self.api,
            jwt: &self.jwt,
            graph: &self.graph,
            provider: &self.provider,
            vault: &self.vault,
            notify: &self.notify,
            logs: &self.logs,
            checks: self,
        }
    }

    fn app_settings(&self) -> dmrelay_app::Settings<'_> {
        dmrelay_app::Settings {
            process: Process::Api,
            backend: Backend::Servers(&self.queue),
            graph: &self.graph,
            vault: &self.vault,
            notify: &self.notify,
            media: &self.media,
        }
    }

    /// Reads again what is logged and all secrets but those of the database and Redis, whose connections are open.
    async fn reload(&self, state: &ApiState, (vault, store): (&Vault, &Store)) -> anyhow::Result<String> {
        let options = self.options()?;
        let keys = Vault::parse(&self.vault.keys.require()?)?;
        dmrelay_app::require_keys(&keys, store).await?;
        // What may fail comes first.
        let tokens = state.tokens_of(&options)?;
        logs::reload(&self.logs).map_err(|err| anyhow!(err))?;
        vault.replace(&keys);
        state.replace_secrets(&options, tokens);
        // Secrets of accounts that could not be decrypted before.
        if let Err(err) = state.snapshots.refresh().await {
            tracing::warn!(error = %err, "cannot load the connections; retrying");
        }
        let apps = options.secrets.app_secrets.len();
        Ok(format!(
            "the log filter, {apps} app secrets, encryption keys {}, tokens",
            keys.key_ids().join(" ")
        ))
    }

    fn options(&self) -> Result<ApiOptions, InvalidSetting> {
        let access = (self.limits.clone(), self.jwt.clone());
        let defaults = SettingDefaults { debounce_ms: self.debounce_ms, takeover_hours: self.takeover_hours };
        ApiOptions::new(self.api.clone(), access, (self.graph.clone(), &self.provider), defaults)
    }
}

impl ApiChecks for Args {
    fn read_settings(&self) -> Result<(), InvalidSetting> {
        self.options().map(|_| ())
    }

    fn accepts_tokens(&self, client: Client) -> Result<bool, InvalidSetting> {
        Ok(Tokens::new(&self.jwt, client)?.is_some())
    }
}

/// An API whose inbox writer is running; [`Api::serve`] starts serving.
pub struct Api {
    state: ApiState,
    limits: ListenerOptions,
    stop: CancellationToken,
    /// Stops the tasks that requests wait for, after the last request.
    drained: CancellationToken,
}

impl Api {
    /// Starts the tasks that requests depend on; `stop` ends them.
    ///
    /// # Errors
    /// An invalid setting, or the connections cannot be loaded.
    pub async fn start(parts: ApiParts, stop: CancellationToken) -> anyhow::Result<Self> {
        let drained = CancellationToken::new();
        let limits = ListenerOptions {
            first_header_timeout: parts.options.api.first_header_timeout,
            header_timeout: parts.options.api.header_timeout,
            per_peer: parts.options.api.api_connections_per_address,
            trusted: parts.options.limits.trusted_proxies.clone(),
            connections: parts.options.api.api_connections,
        };
        tokio::spawn(dmrelay_app::announce(parts.app.store.clone(), parts.app.vault.clone(), stop.clone()));
        let state = ApiState::start(parts, &stop, &drained).await?;
        tokio::spawn(health::run(state.clone(), stop.clone()));
        Ok(Self { state, limits, stop, drained })
    }

    /// Reports whether webhooks can be stored. Redis is not required: webhooks are accepted without it.
    pub fn ready(&self) -> Ready {
        let inbox = self.state.inbox.clone();
        Arc::new(move || {
            let ready = inbox.check().map_err(|err| format!("writes: {err}"));
            Box::pin(std::future::ready(ready))
        })
    }

    /// Serves until stopped and all started requests have ended, or the grace period is over.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, grace: Duration) -> anyhow::Result<()> {
        let router = routes::router(&self.state).merge(ops::health(self.ready(), self.stop.clone()));
        let serving = listener::serve(listener, router, self.limits, self.stop.clone());
        let too_long = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let served = tokio::select! {
            served = serving => served.context("the listener failed"),
            () = too_long => {
                tracing::warn!("grace period over: requests were still open");
                Ok(())
            }
        };
        // The inbox writer must outlive the requests that wait for it.
        self.drained.cancel();
        served
    }
}
