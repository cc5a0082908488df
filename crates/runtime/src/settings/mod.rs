//! Settings, from flags and the environment. Each has a default or a clear error that names its variable;
//! every secret can also be read from a file named by the variable with `_FILE` at the end.

mod access;
mod duration;
mod secrets;
#[cfg(test)]
mod tests;

pub use access::{JwtSettings, LimitSettings};
pub use duration::parse as duration;
pub use secrets::{
    BootstrapKeyArg, DatabaseUrlArg, EncryptionKeysArg, JwtSecretArg, MetaAppSecretsArg, MetaVerifyTokenArg,
    RedisUrlArg, RetellApiKeyArg,
};

use clap::{Args, ValueEnum};
use dmrelay_domain::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A setting that cannot be used.
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
    /// Where it is.
    #[command(flatten)]
    pub url: DatabaseUrlArg,
    /// The most connections of one process.
    #[arg(long, env = "DATABASE_MAX_CONNECTIONS", default_value_t = 20)]
    pub database_max_connections: u32,
    /// How long a statement waits for a connection.
    #[arg(long, env = "DATABASE_ACQUIRE_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub database_acquire_timeout: Duration,
    /// How long a statement may run.
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub database_statement_timeout: Duration,
}

/// Redis, the transport of jobs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queue")]
pub struct QueueSettings {
    /// Where it is.
    #[command(flatten)]
    pub url: RedisUrlArg,
    /// The first part of every key in Redis.
    #[arg(long, env = "REDIS_NAMESPACE", default_value = "dmrelay")]
    pub redis_namespace: String,
    /// The most jobs that wait in one queue; what is above stays due in the database.
    #[arg(long, env = "QUEUE_MAX_WAITING", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=2_000))]
    pub queue_max_waiting: u64,
}

/// The shortest `BOOTSTRAP_API_KEY`.
pub const BOOTSTRAP_KEY_BYTES_MIN: usize = 32;

/// The API's listeners and limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "API")]
pub struct ApiSettings {
    /// Where webhooks and REST are served.
    #[arg(long, env = "API_ADDR", default_value = "127.0.0.1:8080")]
    pub api_addr: SocketAddr,
    /// The address under which Meta and browsers reach the API.
    #[arg(long, env = "PUBLIC_URL", default_value = "http://127.0.0.1:8080")]
    pub public_url: Url,
    /// The longest webhook body, in bytes.
    #[arg(long, env = "WEBHOOK_MAX_BYTES", default_value_t = 8 * 1024 * 1024)]
    pub webhook_max_bytes: usize,
    /// The most bytes of webhook bodies being read at a time in the process; more is answered 503.
    #[arg(long, env = "WEBHOOK_MAX_BYTES_READING", default_value_t = 256 * 1024 * 1024)]
    pub webhook_max_bytes_reading: usize,
    /// How long a webhook may take until it is answered 503.
    #[arg(long, env = "WEBHOOK_TIMEOUT", default_value = "3s", value_parser = duration)]
    pub webhook_timeout: Duration,
    /// The longest body of a REST call, in bytes.
    #[arg(long, env = "API_MAX_BYTES", default_value_t = 256 * 1024)]
    pub api_max_bytes: usize,
    /// How long a REST call may take.
    #[arg(long, env = "API_TIMEOUT", default_value = "60s", value_parser = duration)]
    pub api_timeout: Duration,
    /// How long a request's head may take, and how long a connection may be idle. Behind a proxy that keeps its
    /// connections, longer than the proxy keeps them idle.
    #[arg(long, env = "HEADER_TIMEOUT", default_value = "65s", value_parser = duration)]
    pub header_timeout: Duration,
    /// The most connections at a time; more wait until one ends.
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub api_connections: u32,
    /// The most events of the inbox in one statement.
    #[arg(long, env = "INBOX_BATCH", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    pub inbox_batch: u16,
    /// The most webhooks that wait for the inbox; more are answered 503.
    #[arg(long, env = "INBOX_WAITING", default_value_t = 4_096)]
    pub inbox_waiting: usize,
    /// Batches of the inbox under way at a time.
    #[arg(long, env = "INBOX_WRITERS", default_value_t = 2)]
    pub inbox_writers: usize,
    /// How often the connections are read again.
    #[arg(long, env = "SNAPSHOT_INTERVAL", default_value = "1s", value_parser = duration)]
    pub snapshot_interval: Duration,
    /// A key with every permission in every subaccount, to begin with; at least 32 characters.
    #[command(flatten)]
    pub bootstrap_key: BootstrapKeyArg,
}

/// Meta's Graph API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Meta")]
pub struct GraphSettings {
    /// Graph's host for accounts connected with Facebook Login.
    #[arg(long, env = "GRAPH_URL", default_value = "https://graph.facebook.com")]
    pub graph_url: Url,
    /// Graph's host for accounts connected with Instagram Login.
    #[arg(long, env = "INSTAGRAM_GRAPH_URL", default_value = "https://graph.instagram.com")]
    pub instagram_graph_url: Url,
    /// The version in Graph's paths.
    #[arg(long, env = "GRAPH_VERSION", default_value = "v25.0")]
    pub graph_version: String,
    /// How long a call that sends may take.
    #[arg(long, env = "GRAPH_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub graph_timeout: Duration,
    /// How long mark-seen, typing and profile calls may take; they never fail anything.
    #[arg(long, env = "GRAPH_COURTESY_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub graph_courtesy_timeout: Duration,
    /// The webhook fields a connection with Instagram Login subscribes, comma separated.
    #[arg(
        long,
        env = "SUBSCRIBED_FIELDS",
        value_delimiter = ',',
        default_value = "messages,messaging_postbacks,messaging_seen,messaging_referral,message_reactions,message_edit,messaging_handover,standby,comments,mentions"
    )]
    pub subscribed_fields: Vec<String>,
    /// The webhook fields a Page with Facebook Login subscribes, comma separated.
    #[arg(
        long,
        env = "SUBSCRIBED_PAGE_FIELDS",
        value_delimiter = ',',
        default_value = "messages,messaging_postbacks,message_reads,message_reactions,messaging_referrals,messaging_handovers,message_echoes"
    )]
    pub subscribed_page_fields: Vec<String>,
    /// Secrets of Meta apps whose webhooks are accepted for every account.
    #[command(flatten)]
    pub app_secrets: MetaAppSecretsArg,
    /// The token of the handshake at the shared webhook address.
    #[command(flatten)]
    pub verify_token: MetaVerifyTokenArg,
}

/// The chat agent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Agent")]
pub struct AgentSettings {
    /// Retell's API.
    #[arg(long, env = "RETELL_URL", default_value = "https://api.retellai.com")]
    pub retell_url: Url,
    /// Retell's key.
    #[command(flatten)]
    pub api_key: RetellApiKeyArg,
    /// Which version of the agent answers: a number or a tag. Retell's default is the newest, which may be a draft.
    #[arg(long, env = "RETELL_AGENT_VERSION", default_value = "latest_published")]
    pub retell_agent_version: String,
    /// How long an answer may take.
    #[arg(long, env = "AGENT_TIMEOUT", default_value = "120s", value_parser = duration)]
    pub agent_timeout: Duration,
}

/// Encryption of secrets at rest.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Secrets")]
pub struct VaultSettings {
    /// The keys.
    #[command(flatten)]
    pub keys: EncryptionKeysArg,
}

/// The pipeline.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerSettings {
    /// How many questions, and how many sends, are under way at a time.
    #[arg(long, env = "WORKER_CONCURRENCY", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub worker_concurrency: u16,
    /// How long a user must be quiet before the agent is asked, in milliseconds.
    #[arg(long, env = "DEBOUNCE_MS", default_value_t = 1_500)]
    pub debounce_ms: u32,
    /// How many groups of changes a worker commits at a time.
    #[arg(long, env = "COMMIT_LANES", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=4))]
    pub commit_lanes: u16,
    /// How long after the timeout of a call that was not answered its effect may still come.
    #[arg(long, env = "RECONCILE_GRACE", default_value = "30s", value_parser = duration)]
    pub reconcile_grace: Duration,
    /// How long after a call that was answered with an error its outcome can be looked up.
    #[arg(long, env = "RECONCILE_SETTLE", default_value = "3s", value_parser = duration)]
    pub reconcile_settle: Duration,
    /// How often the outcome of a call is looked up, after it should be known, before it is given up as unknown.
    #[arg(long, env = "RECONCILE_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reconcile_attempts: u32,
    /// How long a worker that died keeps its work from the others.
    #[arg(long, env = "LEASE", default_value = "30s", value_parser = duration)]
    pub lease: Duration,
    /// How often the poller looks for due work.
    #[arg(long, env = "SWEEP_INTERVAL", default_value = "250ms", value_parser = duration)]
    pub sweep_interval: Duration,
    /// The most chats of one connection that the poller takes at a time.
    #[arg(long, env = "SWEEP_PER_CONNECTION", default_value_t = 50)]
    pub sweep_per_connection: u64,
    /// How long the agent is silent after a person wrote, in hours.
    #[arg(long, env = "TAKEOVER_HOURS", default_value_t = 12)]
    pub takeover_hours: u32,
    /// A chat that turns more often in an hour is paused: two bots are talking.
    #[arg(long, env = "MAX_TURNS_PER_HOUR", default_value_t = 30)]
    pub max_turns_per_hour: u32,
    /// How many messages an answer of the agent may become; what is longer is cut.
    #[arg(long, env = "REPLY_PARTS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub reply_parts: u16,
    /// How often an event may fail to be ingested before it becomes a dead letter.
    #[arg(long, env = "INGEST_ATTEMPTS", default_value_t = 5)]
    pub ingest_attempts: u32,
    /// How often a message may be repeated after Graph said code 2 while other sends succeed.
    #[arg(long, env = "GRAPH_CODE_2_ATTEMPTS", default_value_t = 8)]
    pub graph_code_2_attempts: i32,
    /// A token is renewed when it has so many days left.
    #[arg(long, env = "TOKEN_REFRESH_DAYS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub token_refresh_days: u16,
    /// How often it is looked for tokens to renew.
    #[arg(long, env = "TOKEN_CHECK_INTERVAL", default_value = "1m", value_parser = duration)]
    pub token_check_interval: Duration,
    /// A connected account without an event for so long is shown as silent.
    #[arg(long, env = "ACCOUNT_SILENT_AFTER", default_value = "24h", value_parser = duration)]
    pub account_silent_after: Duration,
    /// How long the keys of processed events are kept: at least as long as Meta may deliver them again.
    #[arg(long, env = "RETENTION_EVENTS", default_value = "7d", value_parser = duration)]
    pub retention_events: Duration,
    /// How long events of accounts nobody connected are kept.
    #[arg(long, env = "RETENTION_UNROUTED", default_value = "72h", value_parser = duration)]
    pub retention_unrouted: Duration,
}

/// Logs and metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operations")]
pub struct LogSettings {
    /// How logs are written.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged, in the form of `tracing`'s filters.
    #[arg(long, env = "RUST_LOG", default_value = "warn,dmrelay=info")]
    pub rust_log: String,
    /// An OpenTelemetry collector to which spans are exported, as OTLP over HTTP: `http://host:4318`. Needs a build
    /// with the feature `otlp`.
    #[arg(long, env = "OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<Url>,
    /// The share of traces that is exported, 0 to 1.
    #[arg(long, env = "OTLP_SAMPLE", default_value_t = 1.0, value_parser = share)]
    pub otlp_sample: f64,
    /// How long an export may take; spans that cannot be exported are dropped.
    #[arg(long, env = "OTLP_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub otlp_timeout: Duration,
}

impl LogSettings {
    /// Lines for people, filtered by `rust_log`, and nothing exported.
    pub fn text(rust_log: &str) -> Self {
        Self {
            log_format: LogFormat::Text,
            rust_log: rust_log.to_owned(),
            otlp_endpoint: None,
            otlp_sample: 1.0,
            otlp_timeout: Duration::from_secs(10),
        }
    }
}

/// Reads a share.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|err| format!("{err}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be 0 to 1".to_owned()) }
}

/// Where metrics and health are served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operations")]
pub struct MetricsSettings {
    /// Where `/metrics` is served; the worker's `/livez` and `/readyz` too.
    #[arg(long, env = "METRICS_ADDR", default_value = "127.0.0.1:9090")]
    pub metrics_addr: SocketAddr,
    /// How long started work has to end after SIGTERM.
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = duration)]
    pub shutdown_grace: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A secret given directly or by a file, in that order.
///
/// # Errors
/// When the file cannot be read; the error names the variable and the file.
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
        what: format!("the file {} cannot be read: {err}", path.display()),
    })?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        .filter(|text| !text.expose().is_empty()))
}
