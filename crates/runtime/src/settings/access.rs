//! Who may call the REST API, how often, and from where.

use super::JwtSecretArg;
use super::duration::parse as duration;
use clap::Args;
use ipnet::IpNet;
use std::time::Duration;
use url::Url;

/// Tokens of an identity provider, beside API keys.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens (JWT)")]
pub struct JwtSettings {
    /// The secret that signs HS256 tokens.
    #[command(flatten)]
    pub secret: JwtSecretArg,
    /// Where the public keys of the identity provider are (JWKS, RFC 7517). Not together with JWT_SECRET.
    #[arg(long, env = "JWKS_URL")]
    pub jwks_url: Option<Url>,
    /// The signature algorithms accepted with JWKS_URL, comma separated: RS256, ES256, EdDSA.
    #[arg(long, env = "JWT_ALGORITHMS", value_delimiter = ',', default_value = "RS256,ES256,EdDSA")]
    pub jwt_algorithms: Vec<String>,
    /// Who must have issued a token (`iss`); required with JWT_SECRET or JWKS_URL.
    #[arg(long, env = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// For whom a token must have been issued (`aud`); required with JWT_SECRET or JWKS_URL.
    #[arg(long, env = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// The claim that names the role: viewer, operator, admin or owner.
    #[arg(long, env = "JWT_ROLE_CLAIM", default_value = "role")]
    pub jwt_role_claim: String,
    /// The claim that names the subaccounts: a list of ids ("*" is all of them), or an object of id to role.
    #[arg(long, env = "JWT_SUBACCOUNTS_CLAIM", default_value = "subaccounts")]
    pub jwt_subaccounts_claim: String,
    /// How far the clocks of the issuer and of this process may differ.
    #[arg(long, env = "JWT_LEEWAY", default_value = "30s", value_parser = duration)]
    pub jwt_leeway: Duration,
    /// How long the keys of JWKS_URL are kept before they are fetched again.
    #[arg(long, env = "JWKS_CACHE", default_value = "10m", value_parser = duration)]
    pub jwks_cache: Duration,
    /// How soon they may be fetched again for a key that is not among them.
    #[arg(long, env = "JWKS_MIN_INTERVAL", default_value = "30s", value_parser = duration)]
    pub jwks_min_interval: Duration,
    /// How long fetching them may take.
    #[arg(long, env = "JWKS_TIMEOUT", default_value = "5s", value_parser = duration)]
    pub jwks_timeout: Duration,
}

/// How often somebody may call the REST API; each process counts for itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// Calls a second of one key or token, over time.
    #[arg(long, env = "RATE_PER_PRINCIPAL", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate_per_principal: u32,
    /// Calls of one key or token at once.
    #[arg(long, env = "BURST_PER_PRINCIPAL", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst_per_principal: u32,
    /// Calls a second from one address, over time, before it is looked at who calls.
    #[arg(long, env = "RATE_PER_ADDRESS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate_per_address: u32,
    /// Calls from one address at once.
    #[arg(long, env = "BURST_PER_ADDRESS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst_per_address: u32,
    /// Proxies whose `X-Forwarded-For` is believed, comma separated: addresses or networks. None by default.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Websites that may call the API from a browser, comma separated origins; `*` is all. None by default.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// The most event streams (`GET …/events`) of this process at a time.
    #[arg(long, env = "EVENT_STREAMS", default_value_t = 1_000)]
    pub event_streams: usize,
    /// The most event streams of one subaccount, so that it leaves room for the others.
    #[arg(long, env = "EVENT_STREAMS_PER_SUBACCOUNT", default_value_t = 100)]
    pub event_streams_per_subaccount: usize,
    /// How often new events are looked for while anybody listens.
    #[arg(long, env = "EVENT_INTERVAL", default_value = "500ms", value_parser = duration)]
    pub event_interval: Duration,
    /// How long one event stream lasts; the client connects again, and is checked again.
    #[arg(long, env = "EVENT_STREAM_TIME", default_value = "10m", value_parser = duration)]
    pub event_stream_time: Duration,
    /// How long the answer to a write with an `Idempotency-Key` is kept.
    #[arg(long, env = "IDEMPOTENCY_TIME", default_value = "24h", value_parser = duration)]
    pub idempotency_time: Duration,
    /// The most messages of a list's connections that one text search reads.
    #[arg(long, env = "SEARCH_MOST", default_value_t = 100_000)]
    pub search_most: u64,
}

/// An address is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)))
        .map_err(|_| format!("{text:?} is neither an address nor a network like 10.0.0.0/8"))
}
