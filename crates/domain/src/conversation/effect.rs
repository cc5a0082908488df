//! What is to be done after a change was committed, and what it tells.

use super::rows::Message;
use crate::clock::Millis;
use crate::failure::FailureClass;
use crate::ids::{AgentId, InstagramAccountId, MessageId, TurnId};
use crate::states::{ActivityKind, Author, DeadLetterKind, LoginKind};
use crate::trace::TraceId;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// What the caller does once the change is committed.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open a chat with the agent, then start the turn with it.
    OpenAgentChat,
    /// Ask the agent.
    Ask(Ask),
    /// Read the agent's record of a question.
    LookUpTurn(TurnLookup),
    /// Send a message.
    Send(Box<Send>),
    /// Read Meta's list of the conversation.
    LookUpSend(SendLookup),
    /// The turn is due after this time; nothing else will tell.
    WakeTurn(Duration),
    /// The outbox is due after this time.
    WakeOutbox(Duration),
}

/// A question that is written down and not asked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The turn.
    pub turn: TurnId,
    /// The attempt that an outcome must name.
    pub attempt: i32,
    /// The agent's chat.
    pub agent_chat: String,
    /// The text.
    pub text: String,
    /// How often the agent's chat was replaced for this turn.
    pub rollovers: i32,
    /// The trace of its first message.
    pub trace: Option<TraceId>,
}

/// A question whose outcome is to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnLookup {
    /// The turn.
    pub turn: TurnId,
    /// The attempt.
    pub attempt: i32,
    /// The agent's chat, if one was opened.
    pub agent_chat: Option<String>,
    /// Whether the call could no longer have its effect when the lookup was ordered: only then is absence evidence.
    pub settled: bool,
    /// The trace of its first message.
    pub trace: Option<TraceId>,
}

/// A message that is claimed and not sent yet.
#[derive(Debug, Clone)]
pub struct Send {
    /// The message.
    pub message: Message,
    /// Whether it goes out with the `HUMAN_AGENT` tag, after the 24 hours.
    pub tagged: bool,
}

/// A send whose outcome is to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendLookup {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Whether the call could no longer have its effect when the lookup was ordered: only then is absence evidence.
    pub settled: bool,
    /// The trace of the message.
    pub trace: Option<TraceId>,
}

/// What a change has brought about, for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An event was taken in.
    Ingested,
    /// A message waits for an answer.
    Received {
        /// From the webhook to the inbox.
        inbox: Millis,
        /// From the inbox to here.
        pickup: Millis,
    },
    /// The agent is asked for the first time about a message.
    Asked {
        /// How long the customer was given to go on writing.
        debounce: Millis,
        /// How long it waited beyond that.
        wait: Millis,
    },
    /// The agent has answered.
    Answered {
        /// The turn.
        turn: TurnId,
        /// From the question to the answer.
        took: Millis,
        /// How many messages the answer is.
        replies: usize,
    },
    /// A message was sent.
    Sent(Sent),
    /// A message of the agent will not be sent.
    ReplyFailed(FailureClass),
    /// The outcome of a call is known, or given up as unknown.
    Reconciled {
        /// `agent` or `graph`.
        service: &'static str,
        /// `happened`, `did_not_happen` or `unknown`.
        result: &'static str,
    },
    /// Work of a worker that is gone was taken over.
    Rescued,
    /// An outcome came too late to count: what was done may be done again.
    Late {
        /// The message or turn.
        what: Uuid,
    },
    /// A chat was paused because it turned too often.
    Runaway,
}

/// A message that Graph has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub message: MessageId,
    /// Who wrote it.
    pub author: Author,
    /// Its place in the answer.
    pub part: Option<i32>,
    /// When the webhook was received that it answers.
    pub received_at: Millis,
    /// When it was queued.
    pub created_at: Millis,
    /// When its send began.
    pub started_at: Millis,
    /// When it was known to be sent.
    pub now: Millis,
}

/// An entry of the activity log. It never holds the customer's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// What happened.
    pub kind: ActivityKind,
    /// Who did it.
    pub actor: String,
    /// What it was done to.
    pub subject: Option<String>,
    /// More about it.
    pub details: Map<String, Value>,
}

/// Something that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What failed: the row's kind and id.
    pub kind: DeadLetterKind,
    /// The row's id.
    pub reference: Uuid,
    /// Why.
    pub class: FailureClass,
    /// The last error, without the customer's words.
    pub error: String,
    /// How often it was tried.
    pub attempts: i32,
}

/// What became of a command, for its caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to tell beyond the effects.
    #[default]
    Done,
    /// There was nothing to do: it was done before, or is not due.
    Idle,
    /// It failed, and goes on later.
    Retry(FailureClass),
    /// It failed for good, and there is a dead letter.
    Dead(FailureClass),
    /// It cannot be done: why, for people.
    Refused(Refusal),
}

/// Why a command of a human agent cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account is not connected.
    NotConnected,
    /// Meta's window is closed.
    WindowClosed,
    /// Somebody has closed the dead letter before.
    NotOpen,
    /// A replay would fail again; the words are for people.
    WouldFail(&'static str),
}

/// Who is called for a conversation: what circuit breakers and fair shares go by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The agent.
    pub agent: AgentId,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// Graph's host, by the login.
    pub login: LoginKind,
}
