//! Authentication, rate limits and origins of the REST API.

use super::duration::{parse as duration, positive};
use super::{JwtSecretArg, OidcClientSecretArg, UploadSettings};
use crate::http::service_url;
use clap::Args;
use ipnet::IpNet;
use std::time::Duration;
use url::Url;

/// JWT authentication, in addition to API keys.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens (JWT)")]
pub struct JwtSettings {
    /// The shared secret that signs HS256 tokens.
    #[command(flatten)]
    pub secret: JwtSecretArg,
    /// URL of the identity provider's public keys (JWKS, RFC 7517). Not together with JWT_SECRET.
    #[arg(long, env = "JWKS_URL")]
    pub jwks_url: Option<Url>,
    /// Accepted signature algorithms with JWKS_URL, comma-separated: RS256, ES256, EdDSA.
    #[arg(long, env = "JWT_ALGORITHMS", value_delimiter = ',', default_value = "RS256,ES256,EdDSA")]
    pub jwt_algorithms: Vec<String>,
    /// The required issuer of tokens (`iss`); required with JWT_SECRET or JWKS_URL.
    #[arg(long, env = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The required audience of tokens (`aud`); required with JWT_SECRET or JWKS_URL.
    #[arg(long, env = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// The claim with the role: viewer, operator, admin or owner.
    #[arg(long, env = "JWT_ROLE_CLAIM", default_value = "role")]
    pub jwt_role_claim: String,
    /// The claim with the subaccounts: a list of ids ("*" means all), or an object of id to role.
    #[arg(long, env = "JWT_SUBACCOUNTS_CLAIM", default_value = "subaccounts")]
    pub jwt_subaccounts_claim: String,
    /// The claim with the agents to which the token's holder may connect accounts without the operator having assigned them: a
    /// list of ids.
    #[arg(long, env = "JWT_AGENTS_CLAIM", default_value = "agents")]
    pub jwt_agents_claim: String,
    /// Maximum time from the issue of a token (`iat`; now, if it has none) to its expiry.
    #[arg(long, env = "JWT_MAX_LIFETIME", default_value = "24h", value_parser = positive)]
    pub jwt_max_lifetime: Duration,
    /// Tolerated clock difference between the issuer and this process.
    #[arg(long, env = "JWT_LEEWAY", default_value = "30s", value_parser = duration)]
    pub jwt_leeway: Duration,
    /// How long the keys of JWKS_URL are cached.
    #[arg(long, env = "JWKS_CACHE", default_value = "10m", value_parser = duration)]
    pub jwks_cache: Duration,
    /// Minimum interval between fetches of the keys for an unknown key.
    #[arg(long, env = "JWKS_MIN_INTERVAL", default_value = "30s", value_parser = duration)]
    pub jwks_min_interval: Duration,
    /// Timeout of fetching the keys.
    #[arg(long, env = "JWKS_TIMEOUT", default_value = "5s", value_parser = positive)]
    pub jwks_timeout: Duration,
    /// Signing in to the console at the identity provider.
    #[command(flatten)]
    pub oidc: OidcSettings,
}

/// Signing in to the console at an identity provider (OpenID Connect Core 1.0, authorization code flow with PKCE, RFC 7636). The token
/// that the provider gives is checked as any other: with the settings of tokens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in to the console (OIDC)")]
pub struct OidcSettings {
    /// The console's client id at the identity provider. Its redirect URI there: PUBLIC_URL with `/console/oidc/callback`.
    #[arg(long, env = "OIDC_CLIENT_ID")]
    pub oidc_client_id: Option<String>,
    /// The client's secret.
    #[command(flatten)]
    pub client_secret: OidcClientSecretArg,
    /// Where people log in: the provider's `authorization_endpoint`.
    #[arg(long, env = "OIDC_AUTHORIZE_URL", value_parser = service_url)]
    pub oidc_authorize_url: Option<Url>,
    /// Where a code becomes a token: the provider's `token_endpoint`.
    #[arg(long, env = "OIDC_TOKEN_URL", value_parser = service_url)]
    pub oidc_token_url: Option<Url>,
    /// The scopes that are asked for.
    #[arg(long, env = "OIDC_SCOPES", default_value = "openid profile")]
    pub oidc_scopes: String,
    /// The `audience` parameter, which some providers need to give a token for an API.
    #[arg(long, env = "OIDC_AUDIENCE")]
    pub oidc_audience: Option<String>,
    /// What the button says after "Sign in with".
    #[arg(long, env = "OIDC_NAME", default_value = "single sign-on")]
    pub oidc_name: String,
    /// Timeout of the call for a token.
    #[arg(long, env = "OIDC_TIMEOUT", default_value = "10s", value_parser = positive)]
    pub oidc_timeout: Duration,
}

/// Rate limits of the REST API; each process counts on its own.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitSettings {
    /// How long a signed link to a medium is valid.
    #[arg(long, env = "MEDIA_LINK_TIME", default_value = "10m", value_parser = positive)]
    pub media_link_time: Duration,
    /// Files that are uploaded to be sent.
    #[command(flatten)]
    pub uploads: UploadSettings,
    /// Sustained calls per second with one key or token.
    #[arg(long, env = "RATE_PER_PRINCIPAL", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate_per_principal: u32,
    /// Burst: calls at once with one key or token.
    #[arg(long, env = "BURST_PER_PRINCIPAL", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst_per_principal: u32,
    /// Sustained calls per second from one address, before authentication.
    #[arg(long, env = "RATE_PER_ADDRESS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate_per_address: u32,
    /// Burst: calls at once from one address.
    #[arg(long, env = "BURST_PER_ADDRESS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub burst_per_address: u32,
    /// Sustained webhook events per second of one account; what is beyond is taken in later.
    #[arg(long, env = "EVENTS_PER_ACCOUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub events_per_account: u32,
    /// Burst: events at once of one account.
    #[arg(long, env = "EVENTS_BURST_PER_ACCOUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub events_burst_per_account: u32,
    /// Sustained webhook events per second of all accounts of one subaccount; what is beyond is taken in later.
    #[arg(long, env = "EVENTS_PER_SUBACCOUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub events_per_subaccount: u32,
    /// Burst: events at once of one subaccount.
    #[arg(long, env = "EVENTS_BURST_PER_SUBACCOUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub events_burst_per_subaccount: u32,
    /// How long an event beyond the budgets waits at most, e.g. `10m`. What an account with an app secret of its own brings
    /// beyond that is refused.
    #[arg(long, env = "EVENTS_WAIT_MAX", default_value = "10m", value_parser = positive)]
    pub events_wait_max: Duration,
    /// Proxies whose `X-Forwarded-For` is trusted, comma-separated: addresses or networks. None by default.
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins that may call the API from a browser, comma-separated; `*` means all. None by default.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// Maximum number of concurrent event streams (`GET …/events`) in this process.
    #[arg(long, env = "EVENT_STREAMS", default_value_t = 1_000, value_parser = at_least_one)]
    pub event_streams: usize,
    /// Maximum number of concurrent event streams per subaccount, which leaves room for others.
    #[arg(long, env = "EVENT_STREAMS_PER_SUBACCOUNT", default_value_t = 100, value_parser = at_least_one)]
    pub event_streams_per_subaccount: usize,
    /// Maximum number of concurrent event streams with one key or token, which leaves room for others of its subaccount.
    #[arg(long, env = "EVENT_STREAMS_PER_PRINCIPAL", default_value_t = 50, value_parser = at_least_one)]
    pub event_streams_per_principal: usize,
    /// Maximum number of lists of one subaccount that are read at a time, and at most half of what all have (an eighth of
    /// DATABASE_MAX_CONNECTIONS); further ones wait for two seconds, and are then refused with 429.
    #[arg(long, env = "READERS_PER_SUBACCOUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub readers_per_subaccount: u16,
    /// How often to poll for new events while there are listeners.
    #[arg(long, env = "EVENT_INTERVAL", default_value = "200ms", value_parser = positive)]
    pub event_interval: Duration,
    /// How often an open event stream checks that its key still holds.
    #[arg(long, env = "EVENT_CREDENTIAL_INTERVAL", default_value = "5s", value_parser = positive)]
    pub event_credential_interval: Duration,
    /// Maximum duration of an event stream; the client then reconnects and is authorized again.
    #[arg(long, env = "EVENT_STREAM_TIME", default_value = "10m", value_parser = positive)]
    pub event_stream_time: Duration,
    /// Lifetime of an API key that is created without an expiry.
    #[arg(long, env = "API_KEY_LIFETIME", default_value = "90d", value_parser = positive)]
    pub api_key_lifetime: Duration,
    /// Maximum lifetime of an API key that is created by REST.
    #[arg(long, env = "API_KEY_MAX_LIFETIME", default_value = "366d", value_parser = positive)]
    pub api_key_max_lifetime: Duration,
    /// Maximum number of API keys of a subaccount that are neither expired nor revoked.
    #[arg(long, env = "API_KEYS_PER_SUBACCOUNT", default_value_t = 100)]
    pub api_keys_per_subaccount: u64,
    /// Maximum number of saved messages (templates) of a subaccount.
    #[arg(long, env = "TEMPLATES_PER_SUBACCOUNT", default_value_t = 200)]
    pub templates_per_subaccount: u64,
    /// Messages of a broadcast a minute, where it says nothing else.
    #[arg(long, env = "BROADCAST_PER_MINUTE", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub broadcast_per_minute: u32,
    /// Maximum number of messages of a broadcast a minute. Meta's page for Instagram allows an account 100 calls a second.
    #[arg(long, env = "BROADCAST_PER_MINUTE_MAX", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=6_000_000))]
    pub broadcast_per_minute_max: u32,
    /// Lifetime of a session that is created without one.
    #[arg(long, env = "SESSION_TIME", default_value = "60m", value_parser = positive)]
    pub session_time: Duration,
    /// Maximum lifetime of a session.
    #[arg(long, env = "SESSION_TIME_MAX", default_value = "12h", value_parser = positive)]
    pub session_time_max: Duration,
    /// Maximum number of sessions of a subaccount that have not ended.
    #[arg(long, env = "SESSIONS_PER_SUBACCOUNT", default_value_t = 5_000)]
    pub sessions_per_subaccount: u64,
    /// Maximum number of notification targets of a subaccount.
    #[arg(long, env = "NOTIFICATION_TARGETS_PER_SUBACCOUNT", default_value_t = 20)]
    pub notification_targets_per_subaccount: u64,
    /// Maximum number of test notifications of a subaccount in a day.
    #[arg(long, env = "NOTIFICATION_TESTS_PER_DAY", default_value_t = 100)]
    pub notification_tests_per_day: u64,
    /// How long the response to a write with an `Idempotency-Key` is stored.
    #[arg(long, env = "IDEMPOTENCY_TIME", default_value = "24h", value_parser = positive)]
    pub idempotency_time: Duration,
    /// Maximum number of messages of a list's connections that one text search reads.
    #[arg(long, env = "SEARCH_MOST", default_value_t = 100_000)]
    pub search_most: u64,
    /// How long a statement of such a search may take; then the call is refused with 422.
    #[arg(long, env = "SEARCH_TIMEOUT", default_value = "2s", value_parser = positive)]
    pub search_timeout: Duration,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if number == 0 { Err("must be at least 1".to_owned()) } else { Ok(number) }
}

/// A single address is a network with one member.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network: IpNet = text
        .parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)))
        .map_err(|_| format!("{text:?} is neither an address nor a network like 10.0.0.0/8"))?;
    if network.prefix_len() == 0 {
        return Err(format!("{text:?} is everybody: whoever calls could claim any address"));
    }
    Ok(network)
}
