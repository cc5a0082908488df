//! Chat agents: the interface the worker uses, and its implementation for Retell.

mod retell;

pub use retell::{AgentCheck, Retell, RetellOptions, check_agent};

use async_trait::async_trait;
use dmrelay_domain::conversation::Record;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::AgentId;
use dmrelay_domain::secret::Secret;
use std::collections::BTreeMap;
use std::time::Duration;

/// Metadata passed when an agent chat is opened.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// For operators and webhooks; never shown to the agent.
    pub metadata: BTreeMap<String, String>,
    /// Dynamic variables for the agent's prompt.
    pub variables: BTreeMap<String, String>,
}

/// The answer to one turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The agent's replies, in order; may be empty.
    pub replies: Vec<String>,
    /// The last message of the agent chat after the answer: the watermark of the next turn.
    pub last_message_id: Option<String>,
}

/// A failed call to the agent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    /// The failure class.
    pub class: FailureClass,
    /// Whether the service responded: then the call is over.
    pub answered: bool,
    /// With which HTTP status.
    pub status: Option<u16>,
    /// The requested delay, if any.
    pub retry_after: Option<Duration>,
    /// The error, without message text.
    pub message: String,
}

/// A key at the agent's provider.
pub type Key = Secret<String>;

/// A chat agent that stores the conversation on its side. Each call is made with `key`, or with the operator's if there is
/// none.
#[async_trait]
pub trait ChatAgent: Send + Sync {
    /// Opens an agent chat and returns its id. An unused chat ends on its own, so repeating this is harmless.
    async fn open(&self, key: Option<&Key>, agent: &AgentId, opening: &Opening)
    -> Result<String, AgentError>;

    /// Asks, within `timeout`. Repeating this asks twice: after an error of class [`FailureClass::Ambiguous`]
    /// the record must be read first. [`FailureClass::Gone`] means the chat has ended.
    async fn ask(
        &self,
        key: Option<&Key>,
        chat: &str,
        text: &str,
        timeout: Duration,
    ) -> Result<Answer, AgentError>;

    /// Deletes a chat and its transcript at the provider; one that is not there is no error.
    async fn delete(&self, key: Option<&Key>, chat: &str) -> Result<bool, AgentError>;

    /// The agent's record of a chat.
    async fn record(&self, key: Option<&Key>, chat: &str) -> Result<Record, AgentError>;
}
