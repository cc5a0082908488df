//! The commands of a conversation.

use super::broadcast::Broadcast;
use super::evidence::{Record, Thread};
use super::private_reply::PrivateReply;
use super::rows::Body;
use super::understanding::Understood;
use crate::actor::Actor;
use crate::clock::Millis;
use crate::event::{Container, Item};
use crate::failure::FailureClass;
use crate::ids::{AgentId, DeadLetterId, EventId, MessageId, TurnId, WorkerId};
use crate::trace::TraceId;
use uuid::Uuid;

/// A change of one conversation. Commands are idempotent: one whose commit was lost may be applied again.
#[derive(Debug, Clone)]
pub enum Command {
    /// Ingest the conversation's waiting events in Meta's order, and start the turn if possible.
    Receive(Receive),
    /// Begin the next turn, or reconcile the open one.
    StartTurn(StartTurn),
    /// The agent answered.
    RecordAnswer(RecordAnswer),
    /// The agent did not answer.
    RecordAgentFailure(RecordAgentFailure),
    /// No agent chat could be opened; nothing was asked.
    RecordNoAgentChat(AgentFailure),
    /// The agent's record of a question whose outcome is unknown.
    ResolveTurn(ResolveTurn),
    /// Begin the next send, or reconcile the last one.
    ClaimSend(Claim),
    /// Graph accepted a message.
    RecordSent(RecordSent),
    /// Graph did not accept a message, or the outcome is unknown.
    RecordSendFailure(RecordSendFailure),
    /// Meta's list of the conversation, for a send whose outcome is unknown.
    ResolveSend(ResolveSend),
    /// Reconcile a call of a dead worker, or one past its deadline.
    Orphan(Orphan),
    /// A human agent writes through the API.
    SendByHuman(SendByHuman),
    /// The account reacted to a message, as Meta has accepted.
    React(React),
    /// A medium that the customer sent was put into words, or could not be.
    Understand(Understood),
    /// A broadcast has come to this customer.
    Broadcast(Broadcast),
    /// Meta accepted a private reply to a comment.
    PrivateReply(PrivateReply),
    /// A human agent takes over the chat.
    TakeOver(TakeOver),
    /// The chat returns to the agent.
    Release(Release),
    /// Replay a dead letter.
    Replay(CloseLetter),
    /// Discard a dead letter and leave its object as it is.
    Discard(CloseLetter),
    /// The echo with this mid was not a human's, but Instagram's own.
    RecognizeAutomation(String),
    /// The database was restored from a backup: whatever was waiting then may have happened since.
    Distrust,
}

/// Whether the caller may make the next call, or when the next one may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The caller makes the call as soon as the claim is committed.
    By(WorkerId),
    /// The caller cannot make the call; the work is due from this time on, at once if `None`.
    NotBefore(Option<Millis>),
}

/// Who may start a turn, and in which agent chat.
#[derive(Debug, Clone)]
pub struct StartTurn {
    /// The worker that asks.
    pub worker: WorkerId,
    /// The id of the new turn. The same for each retry of one start, so that the turn begins only once.
    pub turn: TurnId,
    /// The agent chat opened for the turn.
    pub agent_chat: Option<AgentChat>,
    /// The agent must not be asked before then: a budget is used up. What was asked before is looked up all the same.
    pub not_before: Option<Millis>,
}

/// A chat at the agent's provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentChat {
    /// Its id there.
    pub id: String,
    /// The subaccount's own key with which it was opened; none for the operator's.
    pub key: Option<Uuid>,
    /// The agent it was opened with, where that is known.
    pub agent: Option<AgentId>,
}

/// Events to ingest into the conversation.
#[derive(Debug, Clone)]
pub struct Receive {
    /// The events, oldest first.
    pub events: Vec<Received>,
    /// Set if the turn may start in the same transaction.
    pub start: Option<StartTurn>,
    /// The only event to ingest; all waiting ones, up to a bound, if `None`.
    pub only: Option<EventId>,
    /// Whether the caller sets a timer for the turn, so that no one else needs to look at it.
    pub timer: bool,
}

/// An event of the inbox.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its row id.
    pub id: EventId,
    /// Its position in the webhook.
    pub container: Container,
    /// Its content.
    pub item: Item,
    /// Meta's timestamp.
    pub at: Millis,
    /// When its webhook arrived.
    pub arrived_at: Millis,
    /// When it could be taken in: when it was stored, or when its wait for its account's budget is over.
    pub ready_at: Millis,
    /// The trace of its webhook.
    pub trace: Option<TraceId>,
}

/// An answer from the agent.
#[derive(Debug, Clone)]
pub struct RecordAnswer {
    /// The turn it answers.
    pub turn: TurnId,
    /// The attempt that produced it.
    pub attempt: i32,
    /// The agent's replies, in order.
    pub replies: Vec<String>,
    /// The last message of the agent chat after the answer.
    pub watermark: Option<String>,
    /// Who sends the first reply.
    pub claim: Claim,
}

/// Why a call to the agent failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFailure {
    /// The failure class.
    pub class: FailureClass,
    /// Whether the service responded: then the call is over.
    pub answered: bool,
    /// How long the service asked us to pause, in milliseconds.
    pub retry_after: Option<Millis>,
    /// Error details, without message text.
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
    /// Who asks again at once, in a new chat, if the agent chat has ended.
    pub retry: Option<StartTurn>,
}

/// The record of a question whose outcome was unknown.
#[derive(Debug, Clone)]
pub struct ResolveTurn {
    /// The turn.
    pub turn: TurnId,
    /// The attempt.
    pub attempt: i32,
    /// Whether absence is evidence, as determined when the lookup was ordered.
    pub settled: bool,
    /// The agent's record, or why it cannot be read.
    pub record: Result<Record, AgentFailure>,
    /// Who sends the first reply, if there is an answer.
    pub claim: Claim,
}

/// A message accepted by Graph.
#[derive(Debug, Clone)]
pub struct RecordSent {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Meta's message id.
    pub mid: String,
    /// Who sends the next one.
    pub claim: Claim,
}

/// Why Graph did not accept a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// The failure class.
    pub class: FailureClass,
    /// Whether Graph responded: then the call is over.
    pub answered: bool,
    /// Graph's error code, or our own if Graph gave none.
    pub code: String,
    /// Whether it was code 100 without a subcode; see [`crate::failure::is_bare_100`].
    pub bare_100: bool,
    /// How long Graph asked us to pause, in milliseconds.
    pub retry_after: Option<Millis>,
    /// Error details, without message text.
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
    /// Who sends the next one, if this one failed permanently.
    pub claim: Claim,
}

/// The list read for a send whose outcome was unknown.
#[derive(Debug, Clone)]
pub struct ResolveSend {
    /// The message.
    pub message: MessageId,
    /// The attempt.
    pub attempt: i32,
    /// Whether absence is evidence, as determined when the lookup was ordered.
    pub settled: bool,
    /// Meta's list, or why it cannot be read.
    pub thread: Result<Thread, SendFailure>,
    /// When another send through the same host last succeeded.
    pub host_succeeded_at: Option<Millis>,
    /// Who sends next.
    pub claim: Claim,
}

/// A call whose outcome no one will report.
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
    /// Its content.
    pub body: Body,
    /// The client's idempotency key.
    pub idempotency_key: Option<String>,
    /// The actor.
    pub actor: Actor,
    /// The person on whose behalf, by name.
    pub sent_by: Option<String>,
    /// The trace of the call.
    pub trace: Option<TraceId>,
}

/// A reaction of the account to a message, which replaces its former one.
#[derive(Debug, Clone)]
pub struct React {
    /// The message.
    pub message: MessageId,
    /// The emoji, or Meta's word for one; `None` if the reaction was taken back.
    pub reaction: Option<String>,
    /// Who reacted for the account.
    pub actor: Actor,
}

/// A takeover through the API.
#[derive(Debug, Clone)]
pub struct TakeOver {
    /// The actor.
    pub actor: Actor,
    /// How long it lasts.
    pub pause: Pause,
}

/// How long a takeover lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// As long as the connection's settings say.
    Usual,
    /// So many milliseconds.
    For(Millis),
    /// Until somebody releases the chat.
    UntilReleased,
}

/// The end of a takeover or a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Release {
    /// By this actor.
    By(Actor),
    /// Because its time is over.
    Expired,
}

/// A dead letter to close.
#[derive(Debug, Clone)]
pub struct CloseLetter {
    /// The dead letter.
    pub letter: DeadLetterId,
    /// The actor.
    pub actor: Actor,
}
