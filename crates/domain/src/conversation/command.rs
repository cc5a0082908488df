//! What can be done to a conversation.

use super::evidence::{Record, Thread};
use super::rows::Body;
use crate::clock::Millis;
use crate::event::{Container, Item};
use crate::failure::FailureClass;
use crate::ids::{DeadLetterId, EventId, MessageId, TurnId, WorkerId};
use crate::trace::TraceId;

/// A change of one conversation. Commands are idempotent: one whose commit was lost may be applied again.
#[derive(Debug, Clone)]
pub enum Command {
    /// Take in the events that wait for this conversation, in Meta's order, and start the turn if it may start now.
    Receive(Receive),
    /// Begin the next turn, or look up the outcome of the open one.
    StartTurn(StartTurn),
    /// The agent answered.
    RecordAnswer(RecordAnswer),
    /// The agent did not answer.
    RecordAgentFailure(RecordAgentFailure),
    /// No chat could be opened with the agent; nothing was asked.
    RecordNoAgentChat(AgentFailure),
    /// What the agent's record says of a question of unknown outcome.
    ResolveTurn(ResolveTurn),
    /// Begin the next send, or look up the outcome of the last one.
    ClaimSend(Claim),
    /// Graph accepted a message.
    RecordSent(RecordSent),
    /// Graph did not accept a message, or nobody knows.
    RecordSendFailure(RecordSendFailure),
    /// What Meta's list of the conversation says of a send of unknown outcome.
    ResolveSend(ResolveSend),
    /// A call of a worker that is gone, or whose deadline is over, is looked up.
    Orphan(Orphan),
    /// A human agent writes through the API.
    SendByHuman(SendByHuman),
    /// A human agent takes the chat over.
    TakeOver(TakeOver),
    /// The chat goes back to the agent.
    Release(Release),
    /// Try again what a dead letter speaks of.
    Replay(CloseLetter),
    /// Close a dead letter and leave what it speaks of as it is.
    Discard(CloseLetter),
    /// After the database was set back: what waited then may have happened since.
    Distrust,
}

/// Where a claim stands: may the caller make the call now, or when may the next one be made?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The caller makes the call as soon as the claim is committed.
    By(WorkerId),
    /// The caller cannot; it is to be looked at from this time on, at once if none.
    NotBefore(Option<Millis>),
}

/// Who may start a turn, and with what.
#[derive(Debug, Clone)]
pub struct StartTurn {
    /// The worker that asks.
    pub worker: WorkerId,
    /// The id of the turn if one begins. The same for each try of one start, so that it begins once.
    pub turn: TurnId,
    /// The agent's chat that was opened for it.
    pub agent_chat: Option<String>,
}

/// Events wait for the conversation.
#[derive(Debug, Clone)]
pub struct Receive {
    /// The events to take in, oldest first.
    pub events: Vec<Received>,
    /// If the turn may start in the same transaction.
    pub start: Option<StartTurn>,
    /// How many events are taken in at the most; as many as wait, up to a bound, if none.
    pub events_max: Option<usize>,
    /// Whether the caller keeps a timer for the turn, so that nobody else needs to look at it.
    pub timer: bool,
}

/// An event of the inbox.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its row.
    pub id: EventId,
    /// Where in the webhook it stood.
    pub container: Container,
    /// What it says.
    pub item: Item,
    /// Meta's timestamp.
    pub at: Millis,
    /// When its webhook arrived.
    pub arrived_at: Millis,
    /// When it was stored.
    pub stored_at: Millis,
    /// The trace of its webhook.
    pub trace: Option<TraceId>,
}

/// An answer of the agent.
#[derive(Debug, Clone)]
pub struct RecordAnswer {
    /// The turn it answers.
    pub turn: TurnId,
    /// The attempt that brought it.
    pub attempt: i32,
    /// What the agent said, in order.
    pub replies: Vec<String>,
    /// The last message of the agent's chat after it.
    pub watermark: Option<String>,
    /// Who sends the first reply.
    pub claim: Claim,
}

/// Why a call to the agent brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFailure {
    /// What it means.
    pub class: FailureClass,
    /// Whether the service answered the call: then the call is over.
    pub answered: bool,
    /// How long the service wants to be left alone, in milliseconds.
    pub retry_after: Option<Millis>,
    /// More about it, without the customer's words.
    pub error: String,
}

/// A failed question.
#[derive(Debug, Clone)]
pub struct RecordAgentFailure {
    /// The turn.
    pub turn: TurnId,
    /// The attempt.
    pub attempt: i32,
    /// Why.
    pub failure: AgentFailure,
    /// Who asks again at once, in a new chat, where the agent's chat has ended.
    pub retry: Option<StartTurn>,
}

/// A question whose outcome was looked up.
#[derive(Debug, Clone)]
pub struct ResolveTurn {
    /// The turn.
    pub turn: TurnId,
    /// The attempt.
    pub attempt: i32,
    /// As the lookup was ordered: whether absence is evidence.
    pub settled: bool,
    /// The agent's record, or why it cannot be read.
    pub record: Result<Record, AgentFailure>,
    /// Who sends the first reply, if there is an answer.
    pub claim: Claim,
}

/// A message that Graph accepted.
#[derive(Debug, Clone)]
pub struct RecordSent {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Meta's id of it.
    pub mid: String,
    /// Who sends the next one.
    pub claim: Claim,
}

/// Why Graph did not accept a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// What it means.
    pub class: FailureClass,
    /// Whether Graph answered the call: then the call is over.
    pub answered: bool,
    /// Graph's code, or our word where it gave none.
    pub code: String,
    /// Whether it was code 100 without a subcode; see [`crate::failure::is_bare_100`].
    pub bare_100: bool,
    /// How long Graph wants to be left alone, in milliseconds.
    pub retry_after: Option<Millis>,
    /// More about it, without the customer's words.
    pub error: String,
}

/// A failed send.
#[derive(Debug, Clone)]
pub struct RecordSendFailure {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Why.
    pub failure: SendFailure,
    /// When another send through the same host last succeeded.
    pub host_succeeded_at: Option<Millis>,
    /// Who sends the next one, if this one has failed for good.
    pub claim: Claim,
}

/// A send whose outcome was looked up.
#[derive(Debug, Clone)]
pub struct ResolveSend {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// As the lookup was ordered: whether absence is evidence.
    pub settled: bool,
    /// Meta's list, or why it cannot be read.
    pub thread: Result<Thread, SendFailure>,
    /// When another send through the same host last succeeded.
    pub host_succeeded_at: Option<Millis>,
    /// Who sends next.
    pub claim: Claim,
}

/// A call of which nobody will tell the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    /// A question: the turn and its attempt.
    Turn(TurnId, i32),
    /// A send: the message and its attempt.
    Send(MessageId, i32),
}

/// A message written by a human agent.
#[derive(Debug, Clone)]
pub struct SendByHuman {
    /// The id of the message, so that it is stored once.
    pub message: MessageId,
    /// What it says.
    pub body: Body,
    /// The client's key for sending it once.
    pub idempotency_key: Option<String>,
    /// Who writes.
    pub actor: String,
    /// The trace of the call.
    pub trace: Option<TraceId>,
}

/// A takeover through the API.
#[derive(Debug, Clone)]
pub struct TakeOver {
    /// Who takes over.
    pub actor: String,
    /// For how long, in milliseconds; the connection's setting if none.
    pub pause: Option<Millis>,
}

/// The end of a takeover or a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// By somebody.
    By(String),
    /// Because its time is over.
    Expired,
}

/// A dead letter to be closed.
#[derive(Debug, Clone)]
pub struct CloseLetter {
    /// The dead letter.
    pub letter: DeadLetterId,
    /// Who closes it.
    pub actor: String,
}
