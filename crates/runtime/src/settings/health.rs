//! The settings of the checks of connections.

use super::duration::{parse as duration, positive};
use clap::Args;
use std::time::Duration;

/// How connections are checked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Health of connections")]
pub struct HealthSettings {
    /// How often each connection is checked at Meta: its token, permissions, subscription, and whether messages come. `0s`: on
    /// demand only.
    #[arg(long, env = "CHECK_INTERVAL", default_value = "1h", value_parser = duration)]
    pub check_interval: Duration,
    /// How many connections a process checks at a time.
    #[arg(long, env = "CHECK_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub check_concurrency: u8,
    /// Minimum time without events before an account is reported as silent.
    #[arg(long, env = "SILENCE_MIN", default_value = "12h", value_parser = positive)]
    pub silence_min: Duration,
    /// Report an account as silent only if this many messages are missing, going by its average over 28 days.
    #[arg(long, env = "SILENCE_MESSAGES", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub silence_messages: u32,
}
