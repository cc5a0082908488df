//! Settings: the listen address, and which undocumented behaviours to simulate.
//!
//! Every field that stands for a behaviour Meta's or Retell's pages leave open is marked "assumption".

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::login::LoginSettings;

/// Start options of a simulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// Listen address; port 0 selects a free port.
    pub addr: SocketAddr,
    /// Initial behaviour; can be changed while it runs.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self { addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), settings: Settings::default() }
    }
}

/// Behaviour, changeable while the simulator runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Record every send, completion and delivery. Off for load runs: only counts and latencies remain, and
    /// 25 messages per thread.
    pub keep_records: bool,
    /// The Graph API's side.
    pub graph: GraphSettings,
    /// The login pages.
    pub login: LoginSettings,
    /// Retell's side.
    pub retell: RetellSettings,
    /// How webhooks are delivered.
    pub webhooks: WebhookSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep_records: true,
            graph: GraphSettings::default(),
            login: LoginSettings::default(),
            retell: RetellSettings::default(),
            webhooks: WebhookSettings::default(),
        }
    }
}

/// The Graph API's side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GraphSettings {
    /// Milliseconds before each response.
    pub latency_ms: u64,
    /// Whether and when sends come back as echo webhooks.
    pub echo: Echo,
    /// Milliseconds from a send to its echo, if that follows the response.
    pub echo_delay_ms: u64,
    /// Messages and conversations per page (assumption: 25).
    pub page_size: usize,
    /// How many of the newest messages can be read in detail (Meta, "Conversations API": 20).
    pub detail_limit: usize,
    /// HTTP status of an error, by `code/subcode` or `code`, overriding the built-in table.
    pub statuses: BTreeMap<String, u16>,
    /// Whether calls must carry `appsecret_proof`, as an app can ask for (Meta, "Secure Graph API calls").
    pub require_proof: bool,
    /// Answer every call with a bare code 100, as for an app Meta has restricted (chatwoot #14932).
    pub app_restricted: bool,
    /// Whether sender actions need an open window (assumption: no).
    pub sender_actions_need_window: bool,
    /// Accepted sends per second and account before 613 (Meta, "Instagram Platform": 100). None: unlimited.
    pub sends_per_second: Option<u32>,
    /// Conversations API calls per second and account before 80002 (Meta: 2). None: unlimited.
    pub conversation_calls_per_second: Option<u32>,
    /// Percentages in `X-App-Usage` and `X-Business-Use-Case-Usage`.
    pub usage_percent: u8,
    /// `estimated_time_to_regain_access` in minutes.
    pub regain_access_minutes: u32,
    /// Minimum age of a token for `refresh_access_token` (Meta, "Business Login": 24 hours).
    pub refresh_min_age_ms: i64,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            echo: Echo::After,
            echo_delay_ms: 0,
            page_size: 25,
            detail_limit: 20,
            statuses: BTreeMap::new(),
            require_proof: false,
            app_restricted: false,
            sender_actions_need_window: false,
            sends_per_second: None,
            conversation_calls_per_second: None,
            usage_percent: 1,
            regain_access_minutes: 0,
            refresh_min_age_ms: 24 * 3_600_000,
        }
    }
}

/// Whether and when the account's own sends come back as webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Echo {
    /// After the response.
    After,
    /// Before the response, which waits until the echo was acknowledged (or 5 s): chatwoot's webhook job
    /// guards against it.
    First,
    /// Not at all (chatwoot #12055: echoes stopped for days).
    Never,
}

/// Retell's side.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetellSettings {
    /// The API key every call must carry.
    pub api_key: String,
    /// Further workspaces, by their API key: the agents of each. All other agents are of the first key's.
    pub workspaces: std::collections::HashMap<String, Vec<String>>,
    /// Accept any agent id (a convenience). Off: an unknown id gives 422, as at Retell.
    pub any_agent: bool,
    /// The custom attributes that the workspace defines; others are not saved.
    pub custom_attributes: Vec<String>,
    /// The behaviour of agents without their own.
    pub default_agent: crate::retell::AgentRule,
}

impl RetellSettings {
    /// The key of the workspace to which an agent belongs.
    pub(crate) fn workspace_of(&self, agent: &str) -> &str {
        let own = self.workspaces.iter().find(|(_, agents)| agents.iter().any(|one| one == agent));
        own.map_or(self.api_key.as_str(), |(key, _)| key)
    }
}

impl Default for RetellSettings {
    fn default() -> Self {
        Self {
            api_key: "key_simulated".to_owned(),
            workspaces: std::collections::HashMap::new(),
            any_agent: true,
            custom_attributes: Vec::new(),
            default_agent: crate::retell::AgentRule::default(),
        }
    }
}

/// How webhooks are delivered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookSettings {
    /// Their target, unless the account has its own.
    pub target: Option<WebhookTarget>,
    /// Meta waits 5 seconds for the acknowledgement (Messenger Platform, "Webhooks").
    pub timeout_ms: u64,
    /// Maximum number of concurrent POSTs. Read when the simulator starts.
    pub concurrency: usize,
    /// Delays before the second, third, … attempt; the last one repeats. Assumption: Meta's schedule,
    /// compressed.
    pub retry_delays_ms: Vec<u64>,
    /// Give up an update after this long (Meta, "Webhooks": 36 hours).
    pub give_up_after_ms: u64,
    /// Unsubscribe an account whose deliveries failed for this long (Messenger Platform says 1 hour). None: never.
    pub disable_after_ms: Option<u64>,
    /// Probability of delivering again after an acknowledgement.
    pub duplicate_probability: f64,
    /// Deliver the updates of one thread in order. Meta does not guarantee it.
    pub ordered: bool,
    /// `Facebook-API-Version` header.
    pub api_version: String,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            target: None,
            timeout_ms: 5_000,
            concurrency: 64,
            retry_delays_ms: vec![50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000],
            give_up_after_ms: 36 * 3_600_000,
            disable_after_ms: None,
            duplicate_probability: 0.0,
            ordered: true,
            api_version: "v23.0".to_owned(),
        }
    }
}

/// A callback URL with its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTarget {
    /// The callback URL.
    pub url: String,
    /// The app secret that signs webhooks.
    pub app_secret: String,
    /// What the handshake sends as `hub.verify_token`.
    #[serde(default)]
    pub verify_token: String,
}
