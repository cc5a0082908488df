//! Chat agents: the port the worker asks through, and Retell behind it.

mod retell;

pub use retell::{Retell, RetellOptions};

use async_trait::async_trait;
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

/// What the agent's own record says became of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It was asked, and this was said.
    Answered(Answer),
    /// It was asked, and nothing was said yet.
    Thinking,
    /// It is not in the record.
    NotAsked,
    /// The record cannot tell.
    Unclear,
}

/// A question whose outcome is unknown.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The agent's chat.
    pub chat: &'a str,
    /// The last message before it, where it is known.
    pub watermark: Option<&'a str>,
    /// SHA-256 of [`fingerprint`]'s text.
    pub hash: &'a [u8],
}

/// A call to the agent that did not answer the question.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct AgentError {
    /// What happens next.
    pub class: FailureClass,
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

    /// Asks. Repeating this asks twice: an error of class [`FailureClass::Ambiguous`] must be found out first.
    /// [`FailureClass::Gone`] means the chat has ended.
    async fn ask(&self, chat: &str, text: &str) -> Result<Answer, AgentError>;

    /// Finds out what became of a question.
    async fn find(&self, question: &Question<'_>) -> Result<Taken, AgentError>;
}

/// The hash by which the agent's copy of a question is recognised: white space may be folded on the way.
pub fn fingerprint(text: &str) -> [u8; 32] {
    let folded: Vec<&str> = text.split_whitespace().collect();
    dmrelay_domain::signature::sha256(folded.join(" ").as_bytes())
}
