//! Settings for tests: the defaults, with shorter delays.

use clap::Parser;
use dmrelay_runtime::settings::{
    AgentBinding, AgentSettings, ApiSettings, BootstrapKeyArg, DatabaseSettings, EncryptionKeysArg,
    FacebookAppSecretArg, GraphSettings, InstagramAppSecretArg, JwtSettings, LimitSettings, MediaSettings,
    MetaAppSecretsArg, MetaVerifyTokenArg, NotifySettings, ProviderSettings, QueueSettings, RetellApiKeyArg,
    VaultSettings, WorkerSettings,
};
use dmrelay_vault::Vault;
use std::time::Duration;
use url::Url;

use crate::login::{FACEBOOK_APP, INSTAGRAM_APP, RETURN};
use crate::rest::{APP_SECRET, KEY, VERIFY_TOKEN};

/// The settings a test may change before it starts.
#[derive(Parser, Clone)]
pub struct Settings {
    /// The database; the harness sets its URL.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Redis, likewise.
    #[command(flatten)]
    pub queue: QueueSettings,
    /// Secrets.
    #[command(flatten)]
    pub vault: VaultSettings,
    /// The API.
    #[command(flatten)]
    pub api: ApiSettings,
    /// Limits of the REST API.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// JWT authentication.
    #[command(flatten)]
    pub jwt: JwtSettings,
    /// Meta.
    #[command(flatten)]
    pub graph: GraphSettings,
    /// The agent's provider.
    #[command(flatten)]
    pub provider: ProviderSettings,
    /// How notifications leave.
    #[command(flatten)]
    pub notify: NotifySettings,
    /// Where media are kept; a folder of the harness.
    #[command(flatten)]
    pub media: MediaSettings,
    /// The agent.
    #[command(flatten)]
    pub agent: AgentSettings,
    /// The pipeline.
    #[command(flatten)]
    pub worker: WorkerSettings,
    /// Whether the simulator puts media into words.
    #[arg(skip)]
    pub understands: bool,
}

impl Settings {
    /// Short timeouts, leases and delays.
    ///
    /// # Errors
    /// If the environment contains a setting that does not parse.
    pub fn for_tests() -> anyhow::Result<Self> {
        let mut settings = Self::try_parse_from(["tests"])?;
        // Tests ask nobody outside.
        settings.limits.uploads.upload_check_timeout = Duration::ZERO;
        settings.api.agent_binding = AgentBinding::FirstConnect;
        settings.api.bootstrap_key = BootstrapKeyArg::of(KEY);
        let login = &mut settings.api.login;
        login.instagram_app_id = Some(INSTAGRAM_APP.to_owned());
        login.instagram_app_secret = InstagramAppSecretArg::of(APP_SECRET);
        login.facebook_app_id = Some(FACEBOOK_APP.to_owned());
        login.facebook_app_secret = FacebookAppSecretArg::of(APP_SECRET);
        login.connect_return_urls = vec![Url::parse(RETURN)?];
        // Its calls would meet the faults that tests make for others.
        settings.api.health.check_interval = Duration::ZERO;
        settings.api.snapshot_interval = Duration::from_millis(100);
        // Tests call from one address, and fast.
        settings.limits.rate_per_principal = 10_000;
        settings.limits.burst_per_principal = 10_000;
        settings.limits.rate_per_address = 10_000;
        settings.limits.burst_per_address = 10_000;
        settings.limits.event_interval = Duration::from_millis(50);
        settings.graph.app_secrets = MetaAppSecretsArg::of(APP_SECRET);
        settings.graph.verify_token = MetaVerifyTokenArg::of(VERIFY_TOKEN);
        settings.graph.graph_timeout = Duration::from_millis(1_500);
        settings.graph.graph_courtesy_timeout = Duration::from_millis(500);
        settings.vault.keys = EncryptionKeysArg::of(&Vault::generate("k1"));
        settings.agent.api_key = RetellApiKeyArg::of("key_simulated");
        settings.agent.agent_timeout = Duration::from_millis(1_500);
        // Its calls, too.
        settings.worker.backfill_interval = Duration::ZERO;
        settings.worker.backfill_settle = Duration::from_millis(500);
        settings.worker.backfill_call_interval = Duration::from_millis(10);
        // Receivers of tests are on this machine.
        settings.notify.notification_private_addresses = true;
        settings.notify.notification_timeout = Duration::from_secs(2);
        // So is what customers of the simulator send.
        settings.worker.media.media_private_addresses = true;
        settings.worker.media.media_hosts.push("127.0.0.1".to_owned());
        settings.worker.media.media_retry = Duration::from_millis(300);
        settings.worker.media.media_timeout = Duration::from_secs(2);
        settings.worker.incidents.incident_interval = Duration::from_millis(200);
        settings.worker.incidents.incident_after = Duration::ZERO;
        settings.worker.incidents.incident_clear_after = Duration::ZERO;
        settings.worker.reconcile_grace = Duration::from_millis(500);
        settings.worker.reconcile_settle = Duration::from_millis(200);
        settings.worker.reconcile_attempts = 2;
        settings.worker.lease = Duration::from_secs(3);
        settings.worker.sweep_interval = Duration::from_millis(50);
        settings.worker.debounce_ms = 0;
        settings.worker.max_turns_per_hour = 100_000;
        Ok(settings)
    }
}
