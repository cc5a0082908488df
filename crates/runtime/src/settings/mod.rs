//! Settings, from flags and the environment. Each has a default or a clear error that names its variable;
//! every secret can also be read from a file named by the variable with the suffix `_FILE`.

mod access;
mod broadcast;
mod canary;
mod duration;
mod health;
mod known;
mod login;
mod media;
mod notify;
mod secrets;
#[cfg(test)]
mod tests;
mod understanding;
mod upload;
mod worker;

pub use access::{JwtSettings, LimitSettings, OidcSettings};
pub use broadcast::BroadcastSettings;
pub use canary::CanarySettings;
pub use duration::{days, parse as duration, positive};
pub use health::HealthSettings;
pub use known::{is_setting, misspelt_here, warn_of_misspelt};
pub use login::LoginSettings;
pub use media::{MediaFetchSettings, MediaSettings};
pub use notify::{IncidentSettings, NotifySettings};
pub use secrets::{
    BootstrapKeyArg, DatabaseUrlArg, EncryptionKeysArg, FacebookAppSecretArg, InstagramAppSecretArg,
    JwtSecretArg, MediaS3SecretArg, MetaAppSecretsArg, MetaVerifyTokenArg, OidcClientSecretArg, RedisUrlArg,
    RetellApiKeyArg, SmtpUrlArg, TranscriptionKeyArg, VisionKeyArg,
};
pub use understanding::UnderstandingSettings;
pub use upload::UploadSettings;
pub use worker::{TurnBudgets, WorkerSettings};

use crate::http::service_url;
use clap::{Args, ValueEnum};
use dmrelay_domain::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct InvalidSetting {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: String,
}

/// The database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// The database URL.
    #[command(flatten)]
    pub url: DatabaseUrlArg,
    /// Maximum number of database connections per process.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 20)]
    pub database_max_connections: u32,
    /// How long a statement waits for a connection.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT", default_value = "2s", value_parser = positive)]
    pub database_acquire_timeout: Duration,
    /// Timeout of a statement.
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT", default_value = "10s", value_parser = positive)]
    pub database_statement_timeout: Duration,
}

/// Redis, which transports jobs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queue")]
pub struct QueueSettings {
    /// The Redis URL.
    #[command(flatten)]
    pub url: RedisUrlArg,
    /// Prefix of every key in Redis.
    #[arg(long, env = "REDIS_NAMESPACE", default_value = "dmrelay")]
    pub redis_namespace: String,
    /// Maximum number of jobs waiting in a queue; further work stays due in the database.
    #[arg(long, env = "QUEUE_MAX_WAITING", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    pub queue_max_waiting: u64,
}

/// Minimum length of `BOOTSTRAP_API_KEY`.
pub const BOOTSTRAP_KEY_BYTES_MIN: usize = 32;

/// How an agent becomes a subaccount's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AgentBinding {
    /// The operator assigns it (`admin agents assign`). With one Retell key for all, whoever names an agent could use it.
    Assigned,
    /// By the first connect that succeeds: for installations of one tenant.
    FirstConnect,
}

/// The API's listeners and limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "API")]
pub struct ApiSettings {
    /// Listen address of webhooks and REST.
    #[arg(long, env = "API_ADDR", default_value = "127.0.0.1:8080")]
    pub api_addr: SocketAddr,
    /// The public address at which Meta and browsers reach the API.
    #[arg(long, env = "PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    pub public_url: Url,
    /// Maximum size of a webhook body, in bytes.
    #[arg(long, env = "WEBHOOK_MAX_BYTES", default_value_t = 2 * 1024 * 1024)]
    pub webhook_max_bytes: usize,
    /// Maximum total size of webhook bodies in the process, in bytes, as far as they have come; beyond it the API returns
    /// 503.
    #[arg(long, env = "WEBHOOK_MAX_BYTES_READING", default_value_t = 128 * 1024 * 1024)]
    pub webhook_max_bytes_reading: usize,
    /// Maximum total size of webhook bodies from one address, in bytes; beyond it the API returns 503. Behind a proxy that is
    /// not in TRUSTED_PROXIES all webhooks come from one address.
    #[arg(long, env = "WEBHOOK_MAX_BYTES_PER_ADDRESS", default_value_t = 8 * 1024 * 1024)]
    pub webhook_max_bytes_per_address: usize,
    /// Timeout of a webhook, after which the API returns 503.
    #[arg(long, env = "WEBHOOK_TIMEOUT", default_value = "3s", value_parser = positive)]
    pub webhook_timeout: Duration,
    /// Maximum size of a REST body, in bytes.
    #[arg(long, env = "API_MAX_BYTES", default_value_t = 256 * 1024)]
    pub api_max_bytes: usize,
    /// Maximum total size of REST bodies in the process, in bytes; beyond it the API returns 503.
    #[arg(long, env = "API_MAX_BYTES_READING", default_value_t = 64 * 1024 * 1024)]
    pub api_max_bytes_reading: usize,
    /// Maximum total size of REST bodies of one key or token, in bytes; beyond it the API returns 503.
    #[arg(long, env = "API_MAX_BYTES_PER_PRINCIPAL", default_value_t = 8 * 1024 * 1024)]
    pub api_max_bytes_per_principal: usize,
    /// Maximum total size of REST bodies of one subaccount, in bytes; beyond it the API returns 503.
    #[arg(long, env = "API_MAX_BYTES_PER_SUBACCOUNT", default_value_t = 16 * 1024 * 1024)]
    pub api_max_bytes_per_subaccount: usize,
    /// Timeout of a REST body, counted from the call's head; then the API returns 408.
    #[arg(long, env = "API_BODY_TIMEOUT", default_value = "10s", value_parser = positive)]
    pub api_body_timeout: Duration,
    /// Timeout of a REST call.
    #[arg(long, env = "API_TIMEOUT", default_value = "60s", value_parser = positive)]
    pub api_timeout: Duration,
    /// Timeout of a request's head, and idle timeout of a connection. Behind a proxy that reuses connections
    /// it must be longer than the proxy's idle timeout.
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "65s", value_parser = positive)]
    pub header_timeout: Duration,
    /// Timeout of the first request's head on a new connection.
    #[arg(long, env = "FIRST_HEADER_TIMEOUT", default_value = "5s", value_parser = positive)]
    pub first_header_timeout: Duration,
    /// Maximum number of concurrent connections from one address; further ones are closed. Addresses in TRUSTED_PROXIES are
    /// not limited.
    #[arg(long, env = "API_CONNECTIONS_PER_ADDRESS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub api_connections_per_address: u32,
    /// Maximum number of concurrent connections; further ones wait.
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub api_connections: u32,
    /// Maximum number of inbox events per statement.
    #[arg(long, env = "INBOX_BATCH", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    pub inbox_batch: u16,
    /// Maximum number of webhooks waiting for the inbox; beyond it the API returns 503.
    #[arg(long, env = "INBOX_WAITING", default_value_t = 4_096)]
    pub inbox_waiting: usize,
    /// Maximum number of concurrent inbox statements.
    #[arg(long, env = "INBOX_WRITERS", default_value_t = 2)]
    pub inbox_writers: usize,
    /// How often the credential cache checks for changed connections.
    #[arg(long, env = "SNAPSHOT_INTERVAL", default_value = "1s", value_parser = positive)]
    pub snapshot_interval: Duration,
    /// How an agent becomes a subaccount's: `assigned` by the operator, or by the `first-connect` that succeeds, for
    /// installations of one tenant.
    #[arg(long, env = "AGENT_BINDING", value_enum, default_value = "assigned")]
    pub agent_binding: AgentBinding,
    /// The canary.
    #[command(flatten)]
    pub canary: CanarySettings,
    /// Connecting by login.
    #[command(flatten)]
    pub login: LoginSettings,
    /// Checks of connections.
    #[command(flatten)]
    pub health: HealthSettings,
    /// How long after Meta's data deletion callback an account's data is erased, for callbacks that were a mistake.
    #[arg(long, env = "DATA_DELETION_GRACE", default_value = "24h", value_parser = duration)]
    pub data_deletion_grace: Duration,
    /// An API key with all permissions in all subaccounts, for bootstrapping; at least 32 characters.
    #[command(flatten)]
    pub bootstrap_key: BootstrapKeyArg,
}

/// Meta's Graph API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Meta")]
pub struct GraphSettings {
    /// Graph's host for accounts connected with Facebook Login.
    #[arg(long, env = "GRAPH_URL", default_value = "https://graph.facebook.com", value_parser = service_url)]
    pub graph_url: Url,
    /// Graph's host for accounts connected with Instagram Login.
    #[arg(long, env = "INSTAGRAM_GRAPH_URL", default_value = "https://graph.instagram.com", value_parser = service_url)]
    pub instagram_graph_url: Url,
    /// Graph's API version.
    #[arg(long, env = "GRAPH_VERSION", default_value = "v25.0")]
    pub graph_version: String,
    /// Timeout of a send.
    #[arg(long, env = "GRAPH_TIMEOUT", default_value = "20s", value_parser = positive)]
    pub graph_timeout: Duration,
    /// Timeout of mark-seen, typing and profile calls, whose failures have no effect.
    #[arg(long, env = "GRAPH_COURTESY_TIMEOUT", default_value = "2s", value_parser = positive)]
    pub graph_courtesy_timeout: Duration,
    /// To which hosts calls carry `appsecret_proof`, where the app secret of the token is known: `facebook`, `all`, or `off`.
    /// Whether graph.instagram.com reads it is not documented.
    #[arg(long, env = "APPSECRET_PROOF", value_enum, default_value = "facebook")]
    pub appsecret_proof: AppSecretProof,
    /// Webhook fields to subscribe for a connection with Instagram Login, comma-separated.
    #[arg(
        long,
        env = "SUBSCRIBED_FIELDS",
        value_delimiter = ',',
        default_value = "messages,messaging_postbacks,messaging_seen,messaging_referral,message_reactions,message_edit,messaging_handover,standby,comments,mentions"
    )]
    pub subscribed_fields: Vec<String>,
    /// Webhook fields to subscribe for a Page with Facebook Login, comma-separated.
    #[arg(
        long,
        env = "SUBSCRIBED_PAGE_FIELDS",
        value_delimiter = ',',
        default_value = "messages,messaging_postbacks,message_reads,message_reactions,messaging_referrals,messaging_handovers,message_echoes"
    )]
    pub subscribed_page_fields: Vec<String>,
    /// App secrets whose webhooks are accepted for every account.
    #[command(flatten)]
    pub app_secrets: MetaAppSecretsArg,
    /// The verification token of the shared webhook.
    #[command(flatten)]
    pub verify_token: MetaVerifyTokenArg,
}

/// To which of Graph's hosts calls carry a proof that the caller has the app's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AppSecretProof {
    /// To none.
    Off,
    /// To that of Facebook Login.
    Facebook,
    /// To both.
    All,
}

/// The chat agent's provider.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Agent")]
pub struct ProviderSettings {
    /// Base URL of Retell's API.
    #[arg(long, env = "RETELL_URL", default_value = "https://api.retellai.com", value_parser = service_url)]
    pub retell_url: Url,
}

/// The chat agent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Agent")]
pub struct AgentSettings {
    /// Retell's API key: of all subaccounts that have none of their own.
    #[command(flatten)]
    pub api_key: RetellApiKeyArg,
    /// The agent version that answers: a number or a tag. Retell's own default is the newest, which may be a
    /// draft.
    #[arg(long, env = "RETELL_AGENT_VERSION", default_value = "latest_published")]
    pub retell_agent_version: String,
    /// Timeout of an answer.
    #[arg(long, env = "AGENT_TIMEOUT", default_value = "120s", value_parser = positive)]
    pub agent_timeout: Duration,
}

/// Encryption of secrets at rest.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct VaultSettings {
    /// The encryption keys.
    #[command(flatten)]
    pub keys: EncryptionKeysArg,
}

/// Logs and metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operations")]
pub struct LogSettings {
    /// Log format.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Log filter, in the syntax of `tracing`.
    #[arg(long, env = "RUST_LOG", default_value = "warn,dmrelay=info")]
    pub rust_log: String,
    /// A file that contains the log filter, in place of RUST_LOG. It is read again on SIGHUP.
    #[arg(long, env = "RUST_LOG_FILE")]
    pub rust_log_file: Option<PathBuf>,
    /// Maximum number of warnings and errors per minute from the same place in the code; 0 for no limit. The next one says
    /// how many were left out.
    #[arg(long, env = "LOG_REPEATS_MAX", default_value_t = 60)]
    pub log_repeats_max: u32,
    /// OpenTelemetry collector to export spans to, as OTLP over HTTP: `http://host:4318`. Needs a build with
    /// the feature `otlp`.
    #[arg(long, env = "OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Url>,
    /// The fraction of traces to export, 0 to 1.
    #[arg(long, env = "OTLP_SAMPLE", default_value_t = 1.0, value_parser = share)]
    pub otlp_sample: f64,
    /// Timeout of an export; spans that cannot be exported are dropped.
    #[arg(long, env = "OTLP_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub otlp_timeout: Duration,
}

impl LogSettings {
    /// Text lines filtered by `rust_log`, without export.
    pub fn text(rust_log: &str) -> Self {
        Self {
            log_format: LogFormat::Text,
            rust_log: rust_log.to_owned(),
            rust_log_file: None,
            log_repeats_max: 60,
            otlp_endpoint: None,
            otlp_sample: 1.0,
            otlp_timeout: Duration::from_secs(10),
        }
    }
}

/// Parses a fraction.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|err| format!("{err}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be 0 to 1".to_owned()) }
}

/// Metrics and health.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operations")]
pub struct MetricsSettings {
    /// Listen address of `/metrics`; for the worker also of `/livez` and `/readyz`.
    #[arg(long, env = "METRICS_ADDR", default_value = "127.0.0.1:9090")]
    pub metrics_addr: SocketAddr,
    /// Grace period for started work after SIGTERM.
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration)]
    pub shutdown_grace: Duration,
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

/// A secret given directly or through a file, in that order.
///
/// # Errors
/// If the file cannot be read; the error names the variable and the file.
pub(crate) fn resolve(
    name: &'static str,
    value: Option<&String>,
    file: Option<&PathBuf>,
) -> Result<Option<Secret<String>>, InvalidSetting> {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        return Ok(Some(Secret::new(value.clone())));
    }
    let Some(path) = file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|err| InvalidSetting {
        name,
        what: format!("cannot read the file {}: {err}", path.display()),
    })?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        .filter(|text| !text.expose().is_empty()))
}
