//! The settings of notifications: how they leave, for all processes; and when, for the workers.

use super::duration::{days, parse as duration, positive};
use super::{InvalidSetting, SmtpUrlArg};
use clap::Args;
use std::time::Duration;

/// How notifications leave.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notifications")]
pub struct NotifySettings {
    /// The mail server. Without it nobody is notified by e-mail.
    #[command(flatten)]
    pub smtp_url: SmtpUrlArg,
    /// The sender of e-mails: `dmrelay <alerts@example.com>`. Required with SMTP_URL.
    #[arg(long, env = "SMTP_FROM")]
    pub smtp_from: Option<String>,
    /// Timeout of an attempt to deliver a notification.
    #[arg(long, env = "NOTIFICATION_TIMEOUT", default_value = "15s", value_parser = positive)]
    pub notification_timeout: Duration,
    /// Let webhooks of notifications go to private addresses, and over plain http: `true` or `false`. For development: with it, whoever
    /// may set a target reaches what only this machine reaches.
    #[arg(long, env = "NOTIFICATION_PRIVATE_ADDRESSES", default_value_t = false, action = clap::ArgAction::Set)]
    pub notification_private_addresses: bool,
}

/// When somebody is notified.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Notifications")]
pub struct IncidentSettings {
    /// How often dmrelay checks what is wrong.
    #[arg(long, env = "INCIDENT_INTERVAL", default_value = "15s", value_parser = positive)]
    pub incident_interval: Duration,
    /// How long something must be wrong before somebody is told.
    #[arg(long, env = "INCIDENT_AFTER", default_value = "1m", value_parser = duration)]
    pub incident_after: Duration,
    /// How long it must be right again before the incident is over. What comes back sooner is the same incident.
    #[arg(long, env = "INCIDENT_CLEAR_AFTER", default_value = "10m", value_parser = duration)]
    pub incident_clear_after: Duration,
    /// How long an open dead letter counts as wrong.
    #[arg(long, env = "INCIDENT_DEAD_LETTERS_AGE", default_value = "24h", value_parser = positive)]
    pub incident_dead_letters_age: Duration,
    /// Maximum number of attempts to deliver a notification: by default over 7 to 14 hours.
    #[arg(long, env = "NOTIFICATION_ATTEMPTS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub notification_attempts: u32,
    /// How many notifications a worker delivers concurrently.
    #[arg(long, env = "NOTIFICATION_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub notification_concurrency: u8,
    /// Retention of incidents that are over, and of notifications; at least 2d.
    #[arg(long, env = "RETENTION_NOTIFICATIONS", default_value = "90d", value_parser = days)]
    pub retention_notifications: Duration,
}

impl NotifySettings {
    /// The sender of e-mails, where there is a mail server.
    ///
    /// # Errors
    /// If it is missing.
    pub fn sender(&self) -> Result<&str, InvalidSetting> {
        let what = "is required with SMTP_URL: dmrelay <alerts@example.com>".to_owned();
        self.smtp_from.as_deref().ok_or(InvalidSetting { name: "SMTP_FROM", what })
    }
}
