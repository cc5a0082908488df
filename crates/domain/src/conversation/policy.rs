//! The limits that decisions rest on, from the process's settings and from what the business chose.

use crate::clock::Millis;
use crate::ids::{AgentId, ConnectionId, InstagramAccountId, SubaccountId};
use crate::settings::ConnectionSettings;
use crate::states::{ConnectionStatus, LoginKind};

/// Limits from the process's settings. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a customer must be quiet before the agent is asked.
    pub debounce: Millis,
    /// How long the agent is silent after a human agent wrote.
    pub takeover: Millis,
    /// How long a question may take.
    pub agent_timeout: Millis,
    /// How long a send may take.
    pub graph_timeout: Millis,
    /// How long after the end of a call that was not answered its effect may still come.
    pub reconcile_grace: Millis,
    /// How long after an answered call its outcome can be looked up.
    pub reconcile_settle: Millis,
    /// How often an outcome is looked up after its deadline before it is given up as unknown.
    pub reconcile_attempts_max: i32,
    /// How long work is reserved for whoever was given it.
    pub reservation: Millis,
    /// How many turns a chat may begin in an hour.
    pub turns_per_hour_max: i32,
    /// How many messages one answer may become.
    pub reply_parts_max: usize,
    /// How often a message is repeated after Graph's code 2 while other sends succeed.
    pub code_2_attempts_max: i32,
    /// How often an event is tried before it becomes a dead letter.
    pub ingest_attempts_max: i32,
}

impl Default for Policy {
    /// The defaults of the settings.
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
            turns_per_hour_max: 30,
            reply_parts_max: 10,
            code_2_attempts_max: 8,
            ingest_attempts_max: 5,
        }
    }
}

/// What decisions need to know of a conversation's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Our id of it.
    pub id: ConnectionId,
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The agent that answers.
    pub agent: AgentId,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// Which of Meta's logins its token is from.
    pub login: LoginKind,
    /// Its state; none if a later version wrote a state that this one does not know.
    pub status: Option<ConnectionStatus>,
    /// Whether the business has paused the agent in all its chats.
    pub bot_paused: bool,
    /// What the business chose.
    pub settings: ConnectionSettings,
}

impl ConnectionFacts {
    /// Whether calls may be made for it.
    pub fn is_connected(&self) -> bool {
        self.status == Some(ConnectionStatus::Connected)
    }

    /// Whether human agents may answer for seven days (Meta's Human Agent feature).
    pub fn human_agent(&self) -> bool {
        self.settings.human_agent.unwrap_or(false)
    }
}
