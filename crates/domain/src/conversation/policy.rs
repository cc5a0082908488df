//! The limits that decisions depend on, from the process's settings and the connection's.

use super::effect::{Provider, Route};
use crate::clock::Millis;
use crate::ids::{AgentId, ConnectionId, InstagramAccountId, SubaccountId};
use crate::media::Understands;
use crate::settings::ConnectionSettings;
use crate::states::{ConnectionStatus, LoginKind};

/// Limits from the process's settings. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a customer must be silent before the agent is asked.
    pub debounce: Millis,
    /// How long the agent stays silent after a human agent writes.
    pub takeover: Millis,
    /// Timeout of a question to the agent.
    pub agent_timeout: Millis,
    /// Timeout of a send.
    pub graph_timeout: Millis,
    /// How long after an unanswered call ends it may still take effect.
    pub reconcile_grace: Millis,
    /// How long after an answered call its outcome can be reconciled.
    pub reconcile_settle: Millis,
    /// Maximum number of lookups after the deadline before an outcome is given up as unknown.
    pub reconcile_attempts_max: i32,
    /// How long work is reserved for the worker it was given to.
    pub reservation: Millis,
    /// How long a customer is not told again that what they sent cannot be read.
    pub notice_interval: Millis,
    /// In how many chats a text must come within moments of the first message to be recognized as Instagram's own; 0 for
    /// never.
    pub automation_chats: u32,
    /// How long those moments are.
    pub automation_within: Millis,
    /// Maximum number of turns a chat may begin in an hour.
    pub turns_per_hour_max: i32,
    /// Whether an agent's Markdown is turned into plain text.
    pub plain_text: bool,
    /// Whether an agent chat that knows what was unsent is replaced.
    pub renew_after_unsend: bool,
    /// How many of a conversation's messages a new agent chat is told, after the former one ended.
    pub history_max: usize,
    /// Whether a copy is kept of what customers send besides text.
    pub keep_media: bool,
    /// Which media are put into words for the agent.
    pub understands: Understands,
    /// How long a question waits for that, after its message came.
    pub understanding_wait: Millis,
    /// The longest time for which a reply waits as if somebody were writing it.
    pub writing_max: Millis,
    /// Maximum number of messages per answer.
    pub reply_parts_max: usize,
    /// Maximum number of retries after Graph's code 2 while other sends succeed.
    pub code_2_attempts_max: i32,
    /// Maximum number of ingest attempts before an event becomes a dead letter.
    pub ingest_attempts_max: i32,
}

impl Default for Policy {
    /// The default settings.
    fn default() -> Self {
        const SECOND: Millis = 1_000;
        Self {
            debounce: 1_500,
            takeover: 12 * 3_600 * SECOND,
            agent_timeout: 120 * SECOND,
            graph_timeout: 20 * SECOND,
            reconcile_grace: 30 * SECOND,
            reconcile_settle: 3 * SECOND,
            reconcile_attempts_max: 5,
            reservation: 30 * SECOND,
            notice_interval: 24 * 3_600 * SECOND,
            automation_chats: 3,
            automation_within: 5 * SECOND,
            turns_per_hour_max: 30,
            plain_text: true,
            renew_after_unsend: true,
            history_max: 20,
            keep_media: false,
            understands: Understands::default(),
            understanding_wait: 20 * SECOND,
            writing_max: 10 * SECOND,
            reply_parts_max: 10,
            code_2_attempts_max: 8,
            ingest_attempts_max: 5,
        }
    }
}

/// What decisions need to know about a conversation's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Its id.
    pub id: ConnectionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// Whether the tenant has a key of its own at the agent's provider.
    pub has_own_key: bool,
    /// The agent that answers.
    pub agent: AgentId,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// The Meta login of its token.
    pub login: LoginKind,
    /// Its state; `None` if a later version wrote a state unknown to this one.
    pub status: Option<ConnectionStatus>,
    /// Whether the business has paused the agent in all its chats.
    pub bot_paused: bool,
    /// The connection's settings.
    pub settings: ConnectionSettings,
}

impl ConnectionFacts {
    /// Which services are called for it.
    pub fn route(&self) -> Route {
        Route {
            subaccount: self.subaccount.clone(),
            agent: self.agent.clone(),
            provider: Provider::of(&self.subaccount, self.has_own_key),
            account: self.account.clone(),
            login: self.login,
        }
    }

    /// Whether calls may be made for it.
    pub fn is_connected(&self) -> bool {
        self.status == Some(ConnectionStatus::Connected)
    }

    /// Whether human agents may answer for seven days (Meta's Human Agent feature).
    pub fn human_agent(&self) -> bool {
        self.settings.human_agent.unwrap_or(false)
    }
}
