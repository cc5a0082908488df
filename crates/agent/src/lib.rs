//! Chat agents: the port the worker asks through, and Retell behind it.

mod retell;

pub use retell::{Retell, RetellOptions};

use async_trait::async_trait;
use dmrelay_domain::conversation::Record;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::AgentId;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the agent is told when a chat with it is opened.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// For people and webhooks; never reaches the agent.
    pub metadata: BTreeMap<String, String>,
    /// Values the agent's prompt may name.
    pub variables: BTreeMap<String, String>,
}

/// One turn's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What the agent said, in order; may be nothing.
    pub replies: Vec<String>,
    /// The last message of the agent's chat after it: the watermark of the next turn.
    pub last_message_id: Option<String>,
}

/// A call to the agent that did not answer the question.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    /// What happens next.
    pub class: FailureClass,
    /// Whether the service answered the call: then the call is over.
    pub answered: bool,
    /// How long to wait, where the agent said so.
    pub retry_after: Option<Duration>,
    /// What went wrong, without the customer's words.
    pub message: String,
}

/// A chat agent that holds the conversation on its side.
#[async_trait]
pub trait ChatAgent: Send + Sync {
    /// Opens a chat and gives the agent's id of it. A chat nobody uses ends by itself, so repeating this is
    /// harmless.
    async fn open(&self, agent: &AgentId, opening: &Opening) -> Result<String, AgentError>;

    /// Asks, within `timeout`. Repeating this asks twice: after an error of class [`FailureClass::Ambiguous`] the record
    /// must be read first. [`FailureClass::Gone`] means the chat has ended.
    async fn ask(&self, chat: &str, text: &str, timeout: Duration) -> Result<Answer, AgentError>;

    /// The agent's record of a chat.
    async fn record(&self, chat: &str) -> Result<Record, AgentError>;
}
