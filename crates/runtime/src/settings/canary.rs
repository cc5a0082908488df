//! The settings of the canary: a message of its own that goes through the whole pipeline every few minutes.

use super::duration::positive;
use clap::Args;
use std::time::Duration;
use url::Url;

/// A message that dmrelay writes to itself, as a customer of a test account, to see whether it is answered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Canary")]
#[expect(clippy::struct_field_names, reason = "they are named like their settings")]
pub struct CanarySettings {
    /// The id of a connected Instagram account that is for tests. Without it there is no canary.
    #[arg(long, env = "CANARY_ACCOUNT")]
    pub canary_account: Option<String>,
    /// The Instagram-scoped id of the customer who writes. Must have written to the account, ideally within 24 hours. Required with
    /// CANARY_ACCOUNT.
    #[arg(long, env = "CANARY_USER")]
    pub canary_user: Option<String>,
    /// What they write.
    #[arg(long, env = "CANARY_TEXT", default_value = "ping")]
    pub canary_text: String,
    /// Where the webhook is sent; by default `/webhooks/instagram` at PUBLIC_URL, as Meta does.
    #[arg(long, env = "CANARY_URL")]
    pub canary_url: Option<Url>,
    /// How often they write. Below 3m the chat reaches MAX_TURNS_PER_HOUR (30) and is paused.
    #[arg(long, env = "CANARY_INTERVAL", default_value = "5m", value_parser = positive)]
    pub canary_interval: Duration,
    /// How long they wait for the answer.
    #[arg(long, env = "CANARY_TIMEOUT", default_value = "1m", value_parser = positive)]
    pub canary_timeout: Duration,
}
