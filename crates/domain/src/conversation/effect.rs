//! The effects of a committed change, and the facts it reports.

use super::automation::TextDigest;
use super::rows::Message;
use crate::actor::Actor;
use crate::clock::Millis;
use crate::failure::FailureClass;
use crate::ids::{AgentId, DeadLetterId, InstagramAccountId, MessageId, SubaccountId, TurnId};
use crate::states::{ActivityKind, Author, DeadLetterKind, EventState, LoginKind, Skipped};
use crate::trace::TraceId;
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// What the caller does once the change is committed.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Open an agent chat, then start the turn in it.
    OpenAgentChat,
    /// Ask the agent.
    Ask(Ask),
    /// Read the agent's record of a question.
    LookUpTurn(TurnLookup),
    /// Send a message.
    Send(Box<Send>),
    /// Media have come, and wait to be fetched.
    FetchMedia,
    /// Read Meta's list of the conversation.
    LookUpSend(SendLookup),
    /// The turn is due after this time; nothing else will trigger it.
    WakeTurn(Duration),
    /// The outbox is due after this time.
    WakeOutbox(Duration),
    /// The next reply is due after this time, as if somebody were writing it: the customer sees that meanwhile.
    WriteFor(Duration),
    /// This text is Instagram's own: what was taken for a human's in other chats is not.
    RecognizeAutomation(TextDigest),
}

/// A question that is stored but not asked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The turn.
    pub turn: TurnId,
    /// The attempt an outcome must name.
    pub attempt: i32,
    /// The agent chat.
    pub agent_chat: String,
    /// The text of the question.
    pub text: String,
    /// How often the agent chat was replaced for this turn.
    pub rollovers: i32,
    /// The trace of the turn's first message.
    pub trace: Option<TraceId>,
}

/// A question to reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnLookup {
    /// The turn.
    pub turn: TurnId,
    /// The attempt.
    pub attempt: i32,
    /// The agent chat, if one was opened.
    pub agent_chat: Option<String>,
    /// Whether the call could no longer take effect when the lookup was ordered: only then is absence
    /// evidence.
    pub settled: bool,
    /// The trace of the turn's first message.
    pub trace: Option<TraceId>,
}

/// A message that is claimed but not sent yet.
#[derive(Debug, Clone)]
pub struct Send {
    /// The message.
    pub message: Message,
    /// Whether it is sent with the `HUMAN_AGENT` tag, after the 24 hours.
    pub tagged: bool,
}

/// A send to reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendLookup {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Whether the call could no longer take effect when the lookup was ordered: only then is absence
    /// evidence.
    pub settled: bool,
    /// The trace of the message.
    pub trace: Option<TraceId>,
}

/// The results of a change, for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An event was ingested, and is in this state now.
    Ingested(EventState),
    /// A message waits for an answer.
    Received {
        /// Time from when the customer wrote it, by Meta's timestamp, to the webhook.
        late: Millis,
        /// Time from webhook to inbox.
        inbox: Millis,
        /// Time from inbox to here.
        pickup: Millis,
    },
    /// The agent is asked about a message for the first time.
    Asked {
        /// Debounce: how long the customer was given to keep writing.
        debounce: Millis,
        /// Additional waiting time.
        wait: Millis,
    },
    /// The agent answered.
    Answered {
        /// The turn.
        turn: TurnId,
        /// Time from question to answer.
        took: Millis,
        /// Number of messages in the answer.
        replies: usize,
    },
    /// A message was sent.
    Sent(Sent),
    /// A message of the agent will not be sent.
    ReplyFailed(FailureClass),
    /// The outcome of a call is known, or was given up as unknown.
    Reconciled {
        /// `agent` or `graph`.
        service: &'static str,
        /// `happened`, `did_not_happen` or `unknown`.
        result: &'static str,
    },
    /// The work of a dead worker was rescued.
    Rescued,
    /// An outcome came too late to count: the call may be made again.
    Late {
        /// The message or turn.
        what: Uuid,
    },
    /// A chat was paused for too many turns in an hour.
    Runaway,
}

/// A message accepted by Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub message: MessageId,
    /// The author.
    pub author: Author,
    /// Its position in the answer.
    pub part: Option<i32>,
    /// When the webhook it answers was received.
    pub received_at: Millis,
    /// When it was queued.
    pub created_at: Millis,
    /// When its send began.
    pub started_at: Millis,
    /// When it was known to be sent.
    pub now: Millis,
}

/// An activity log entry. It never contains message text.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// The activity kind.
    pub kind: ActivityKind,
    /// The actor.
    pub actor: Actor,
    /// The object.
    pub subject: Option<String>,
    /// Details.
    pub details: Map<String, Value>,
}

/// A permanent failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// The kind of the failed row.
    pub kind: DeadLetterKind,
    /// The id of the failed row.
    pub reference: Uuid,
    /// The failure class.
    pub class: FailureClass,
    /// The last error, without message text.
    pub error: String,
    /// Number of attempts.
    pub attempts: i32,
}

/// The result of a command, for its caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to report beyond the effects.
    #[default]
    Done,
    /// Nothing to do: already done, or not due.
    Idle,
    /// Failed; will be retried.
    Retry(FailureClass),
    /// Failed permanently, with a dead letter.
    Dead(FailureClass),
    /// Refused, with a readable reason.
    Refused(Refusal),
    /// The customer is spared a broadcast.
    Skipped(Skipped),
}

/// Why a human agent's command cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The account is not connected.
    NotConnected,
    /// Meta's window is closed.
    WindowClosed,
    /// The dead letter is already closed.
    NotOpen,
    /// A replay would fail again; with a readable reason.
    WouldFail(&'static str),
}

/// The services called for a conversation: the keys of circuit breakers and fair-share limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// The tenant.
    pub subaccount: SubaccountId,
    /// The agent.
    pub agent: AgentId,
    /// Whose key asks it.
    pub provider: Provider,
    /// The Instagram account.
    pub account: InstagramAccountId,
    /// Graph's host, by the login.
    pub login: LoginKind,
}

/// With whose key the agent's provider is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Provider {
    /// The operator's.
    Shared,
    /// That of the subaccount.
    Own(SubaccountId),
}

impl Provider {
    /// With whose key the agents of a subaccount are asked.
    pub fn of(subaccount: &SubaccountId, has_own_key: bool) -> Self {
        if has_own_key { Self::Own(subaccount.clone()) } else { Self::Shared }
    }
}
