//! The settings of broadcasts.

use super::duration::positive;
use clap::Args;
use std::time::Duration;

/// How a worker sends broadcasts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Broadcasts")]
#[expect(clippy::struct_field_names, reason = "they are named like their settings")]
pub struct BroadcastSettings {
    /// Maximum number of messages of a broadcast that are on their way at once, so that answers do not wait behind them.
    #[arg(long, env = "BROADCAST_IN_FLIGHT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub broadcast_in_flight: u16,
    /// How long a broadcast waits before it looks again at a conversation in which somebody is answering.
    #[arg(long, env = "BROADCAST_RETRY", default_value = "10m", value_parser = positive)]
    pub broadcast_retry: Duration,
    /// How often it looks before the customer is spared.
    #[arg(long, env = "BROADCAST_TRIES", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub broadcast_tries: u16,
}
