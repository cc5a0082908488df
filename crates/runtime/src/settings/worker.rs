//! The settings of the workers.

use super::duration::{days, parse as duration, positive};
use super::{BroadcastSettings, IncidentSettings, MediaFetchSettings, UnderstandingSettings};
use clap::Args;
use std::time::Duration;

/// How often the agent may be asked; what is beyond waits until the hour or the day (UTC) is over.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Budgets")]
#[expect(clippy::struct_field_names, reason = "they are named like their settings")]
pub struct TurnBudgets {
    /// Maximum number of questions to the agent in an hour for one account; 0 for no limit.
    #[arg(long, env = "TURNS_PER_ACCOUNT_HOUR", default_value_t = 10_000)]
    pub turns_per_account_hour: u64,
    /// Maximum number of questions in an hour for all accounts of one subaccount; 0 for no limit.
    #[arg(long, env = "TURNS_PER_SUBACCOUNT_HOUR", default_value_t = 30_000)]
    pub turns_per_subaccount_hour: u64,
    /// Maximum number of questions in a day for all accounts of one subaccount; 0 for no limit.
    #[arg(long, env = "TURNS_PER_SUBACCOUNT_DAY", default_value_t = 100_000)]
    pub turns_per_subaccount_day: u64,
    /// Maximum number of questions in a day for all subaccounts together; 0 for no limit.
    #[arg(long, env = "TURNS_PER_DAY", default_value_t = 1_000_000)]
    pub turns_per_day: u64,
}

/// The pipeline.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerSettings {
    /// How often the agent may be asked.
    #[command(flatten)]
    pub budgets: TurnBudgets,
    /// When somebody is notified.
    #[command(flatten)]
    pub incidents: IncidentSettings,
    /// How media are fetched.
    #[command(flatten)]
    pub media: MediaFetchSettings,
    /// How media are put into words.
    #[command(flatten)]
    pub understanding: UnderstandingSettings,
    /// Maximum number of private replies to comments of one account in an hour. Meta allows 750 for posts and reels.
    #[arg(long, env = "COMMENT_REPLIES_PER_HOUR", default_value_t = 750)]
    pub comment_replies_per_hour: u64,
    /// How broadcasts are sent.
    #[command(flatten)]
    pub broadcasts: BroadcastSettings,
    /// Maximum number of concurrent questions, and of concurrent sends.
    #[arg(long, env = "WORKER_CONCURRENCY", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub worker_concurrency: u16,
    /// How often the typing indicator is shown anew while the agent takes its time.
    #[arg(long, env = "TYPING_INTERVAL", default_value = "20s", value_parser = positive)]
    pub typing_interval: Duration,
    /// Maximum typing delay before a reply is sent, for accounts that set
    /// `writingMsPerCharacter`.
    #[arg(long, env = "REPLY_DELAY_MAX", default_value = "10s", value_parser = duration)]
    pub reply_delay_max: Duration,
    /// How long a user must be silent before the agent is asked, in milliseconds.
    #[arg(long, env = "DEBOUNCE_MS", default_value_t = 1_500)]
    pub debounce_ms: u32,
    /// Number of concurrent commits of a worker.
    #[arg(long, env = "COMMIT_LANES", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=4))]
    pub commit_lanes: u16,
    /// How long after the timeout of an unanswered call it may still take effect.
    #[arg(long, env = "RECONCILE_GRACE", default_value = "30s", value_parser = duration)]
    pub reconcile_grace: Duration,
    /// How long after an error response a call's outcome can be reconciled.
    #[arg(long, env = "RECONCILE_SETTLE", default_value = "3s", value_parser = duration)]
    pub reconcile_settle: Duration,
    /// Maximum number of lookups of a call's outcome after its deadline, before it is given up as unknown.
    #[arg(long, env = "RECONCILE_ATTEMPTS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reconcile_attempts: u32,
    /// How long a dead worker's work stays reserved.
    #[arg(long, env = "LEASE", default_value = "30s", value_parser = positive)]
    pub lease: Duration,
    /// Interval of the poller.
    #[arg(long, env = "SWEEP_INTERVAL", default_value = "250ms", value_parser = positive)]
    pub sweep_interval: Duration,
    /// Maximum number of chats the poller takes from one connection in a tick.
    #[arg(long, env = "SWEEP_PER_CONNECTION", default_value_t = 50)]
    pub sweep_per_connection: u64,
    /// Hours the agent stays silent after a human agent writes.
    #[arg(long, env = "TAKEOVER_HOURS", default_value_t = 12)]
    pub takeover_hours: u32,
    /// Maximum number of turns a chat may have in an hour; beyond it the chat is paused as a loop between two
    /// bots.
    #[arg(long, env = "MAX_TURNS_PER_HOUR", default_value_t = 30)]
    pub max_turns_per_hour: u32,
    /// How many hours a user is not told again that what they sent cannot be read (setting `unreadableText`).
    #[arg(long, env = "NOTICE_INTERVAL_HOURS", default_value_t = 24)]
    pub notice_interval_hours: u32,
    /// In how many chats the same text must come within moments of the first message before it counts as Instagram's own
    /// (instant reply, away message), and no longer as a human's; 0 for never.
    #[arg(long, env = "AUTOMATION_CHATS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub automation_chats: u32,
    /// How long those moments are.
    #[arg(long, env = "AUTOMATION_WITHIN", default_value = "5s", value_parser = duration)]
    pub automation_within: Duration,
    /// Turn the Markdown of answers into plain text, which is all that Instagram shows: `true` or `false`.
    #[arg(long, env = "PLAIN_TEXT", default_value_t = true, action = clap::ArgAction::Set)]
    pub plain_text: bool,
    /// Replace and delete the agent chat when a message that it knows is unsent, so that nothing of it is left at the agent's
    /// provider: `true` or `false`. The new one is told the last messages.
    #[arg(long, env = "UNSEND_RENEWS_AGENT_CHAT", default_value_t = true, action = clap::ArgAction::Set)]
    pub unsend_renews_agent_chat: bool,
    /// How many of the last messages a new agent chat is told after the former one ended; 0 for none.
    #[arg(long, env = "AGENT_HISTORY", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=50))]
    pub agent_history: u16,
    /// Maximum number of messages per answer; the rest is cut off.
    #[arg(long, env = "REPLY_PARTS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub reply_parts: u16,
    /// Maximum number of ingest attempts before an event becomes a dead letter.
    #[arg(long, env = "INGEST_ATTEMPTS", default_value_t = 5)]
    pub ingest_attempts: u32,
    /// Maximum number of retries of a message that Graph refuses as temporarily unavailable (code 2 and the like)
    /// while other sends succeed.
    #[arg(long, env = "GRAPH_CODE_2_ATTEMPTS", default_value_t = 8)]
    pub graph_code_2_attempts: i32,
    /// A token is renewed when it has this many days left.
    #[arg(long, env = "TOKEN_REFRESH_DAYS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub token_refresh_days: u16,
    /// How often to check for tokens to renew.
    #[arg(long, env = "TOKEN_CHECK_INTERVAL", default_value = "1m", value_parser = positive)]
    pub token_check_interval: Duration,
    /// How long a connected account may go without an event before it counts as silent.
    #[arg(long, env = "ACCOUNT_SILENT_AFTER", default_value = "24h", value_parser = duration)]
    pub account_silent_after: Duration,
    /// How long a customer may wait for an answer before the conversation counts as late.
    #[arg(long, env = "UNANSWERED_AFTER", default_value = "5m", value_parser = positive)]
    pub unanswered_after: Duration,
    /// How often messages, turns and questions of today are counted for each account.
    #[arg(long, env = "USAGE_INTERVAL", default_value = "5m", value_parser = positive)]
    pub usage_interval: Duration,
    /// How many subaccounts `dmrelay_usage_today` shows, those that use most; 0 for none.
    #[arg(long, env = "USAGE_METRIC_SUBACCOUNTS", default_value_t = 50)]
    pub usage_metric_subaccounts: usize,
    /// How many accounts that somebody must do something for `dmrelay_account_needs` names; 0 for none.
    #[arg(long, env = "ACCOUNT_NEEDS_MAX", default_value_t = 100)]
    pub account_needs_max: u64,
    /// Bytes that the database may grow to, for its alert; 0 if that is watched elsewhere.
    #[arg(long, env = "DATABASE_CAPACITY_BYTES", default_value_t = 0)]
    pub database_capacity_bytes: u64,
    /// How often to look for what is to be erased.
    #[arg(long, env = "ERASURE_INTERVAL", default_value = "5s", value_parser = positive)]
    pub erasure_interval: Duration,
    /// How long the deletion of a chat at the agent's provider is tried before it is given up.
    #[arg(long, env = "AGENT_CHAT_DELETION_TIME", default_value = "7d", value_parser = positive)]
    pub agent_chat_deletion_time: Duration,
    /// Retention of processed events' deduplication keys: at least as long as Meta may redeliver an event.
    #[arg(long, env = "RETENTION_EVENTS", default_value = "7d", value_parser = duration)]
    pub retention_events: Duration,
    /// Retention of events of accounts that are not connected.
    #[arg(long, env = "RETENTION_UNROUTED", default_value = "72h", value_parser = duration)]
    pub retention_unrouted: Duration,
    /// Retention of events that failed for good, with their bytes; then their dead letters cannot be replayed.
    #[arg(long, env = "RETENTION_DEAD_EVENTS", default_value = "30d", value_parser = positive)]
    pub retention_dead_events: Duration,
    /// Retention of messages that nothing waits for; at least 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_MESSAGES", value_parser = days)]
    pub retention_messages: Option<Duration>,
    /// Retention of conversations after their last message, with everything in them, at the agent's provider too; at least
    /// 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_CHATS", value_parser = days)]
    pub retention_chats: Option<Duration>,
    /// Retention of questions to the agent and of agent chats that were replaced; at least 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_TURNS", value_parser = days)]
    pub retention_turns: Option<Duration>,
    /// Retention of the daily counts of messages, turns and questions; at least 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_USAGE", value_parser = days)]
    pub retention_usage: Option<Duration>,
    /// How often to check Meta's list of each account's conversations for messages that no webhook delivered. `0s`: never.
    #[arg(long, env = "BACKFILL_INTERVAL", default_value = "1m", value_parser = duration)]
    pub backfill_interval: Duration,
    /// How long a webhook has to bring a message before it counts as missing.
    #[arg(long, env = "BACKFILL_SETTLE", default_value = "30s", value_parser = duration)]
    pub backfill_settle: Duration,
    /// Maximum age at which a message found this way is still answered, if nothing was written to the customer since.
    #[arg(long, env = "BACKFILL_ANSWER_MAX_AGE", default_value = "1h", value_parser = duration)]
    pub backfill_answer_max_age: Duration,
    /// Minimum interval between backfill calls for one account. Meta allows two a second.
    #[arg(long, env = "BACKFILL_CALL_INTERVAL", default_value = "500ms", value_parser = duration)]
    pub backfill_call_interval: Duration,
    /// How many accounts a worker checks concurrently.
    #[arg(long, env = "BACKFILL_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub backfill_concurrency: u8,
    /// Retention of connect sessions, after they end or expire; at least 2d.
    #[arg(long, env = "RETENTION_CONNECT_SESSIONS", default_value = "7d", value_parser = days)]
    pub retention_connect_sessions: Duration,
    /// Retention of the activity log; at least 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_ACTIVITIES", value_parser = days)]
    pub retention_activities: Option<Duration>,
    /// Retention of dead letters, open ones too; at least 2d. Kept for ever if not set.
    #[arg(long, env = "RETENTION_DEAD_LETTERS", value_parser = days)]
    pub retention_dead_letters: Option<Duration>,
}
