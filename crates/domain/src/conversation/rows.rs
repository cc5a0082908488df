//! The rows of a conversation, as decisions see them.

use super::tracked::Tracked;
use crate::clock::Millis;
use crate::failure::FailureClass;
use crate::ids::{ChatId, DeadLetterId, InstagramUserId, MessageId, TurnId, WorkerId};
use crate::states::{Author, ChatMode, DeadLetterKind, Direction, MessageStatus, TurnState};
use crate::trace::TraceId;

/// One kind of a chat's work: its next turn, or its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// When it is to be looked at; none if nothing waits, or a call is under way.
    pub due_at: Option<Millis>,
    /// Failures in a row.
    pub attempts: i32,
    /// Until then a worker that was given it is expected to see to it, and the poller leaves it alone.
    pub reserved_until: Millis,
}

impl Work {
    /// Nothing waits any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A call is under way, or nothing waits; failures in a row still count.
    pub fn clear_due(&mut self) {
        (self.due_at, self.reserved_until) = (None, 0);
    }

    /// To be looked at from `at` on, by whoever comes first.
    pub fn schedule(&mut self, at: Millis) {
        self.due_at = Some(at);
        self.reserved_until = 0;
    }
}

/// A conversation of one Instagram user with one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Our id.
    pub id: ChatId,
    /// The customer.
    pub user: InstagramUserId,
    /// Who answers.
    pub mode: ChatMode,
    /// What set the mode; see [`super::ModeReason`].
    pub mode_reason: Option<String>,
    /// When the agent answers again by itself.
    pub resume_at: Option<Millis>,
    /// Why a human should look at the chat.
    pub flag: Option<String>,
    /// When Meta's 24-hour window closes.
    pub window_expires_at: Option<Millis>,
    /// The agent's chat, as its provider names it.
    pub agent_chat_id: Option<String>,
    /// The last message of the agent's chat that is accounted for.
    pub agent_watermark: Option<String>,
    /// The agent knows the conversation up to this message.
    pub agent_seq: i64,
    /// Up to this message, what the agent was about to say is superseded: a human wrote or took over after it.
    pub human_seq: i64,
    /// The database was set back: before anything is asked, the agent's record is read.
    pub verify: bool,
    /// Since when a message waits for an answer by the agent.
    pub first_unanswered_at: Option<Millis>,
    /// The next turn.
    pub turn: Work,
    /// What is to be sent.
    pub outbox: Work,
    /// When the hour began in which turns are counted.
    pub hour_started_at: Millis,
    /// Turns begun in that hour.
    pub hour_turns: i32,
    /// The number of the newest message.
    pub last_seq: i64,
    /// When something was last said.
    pub last_message_at: Millis,
    /// The trace of the first unanswered message, or of what is to be sent.
    pub trace: Option<TraceId>,
}

impl Chat {
    /// A chat that has just begun.
    pub fn new(id: ChatId, user: InstagramUserId) -> Self {
        Self {
            id,
            user,
            mode: ChatMode::Bot,
            mode_reason: None,
            resume_at: None,
            flag: None,
            window_expires_at: None,
            agent_chat_id: None,
            agent_watermark: None,
            agent_seq: 0,
            human_seq: 0,
            verify: false,
            first_unanswered_at: None,
            turn: Work::default(),
            outbox: Work::default(),
            hour_started_at: 0,
            hour_turns: 0,
            last_seq: 0,
            last_message_at: 0,
            trace: None,
        }
    }
}

/// One question to the agent, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Our id.
    pub id: TurnId,
    /// The messages it asks.
    pub message_ids: Vec<MessageId>,
    /// The number of the newest of them.
    pub asked_seq: i64,
    /// SHA-256 of the folded text, by which the agent's copy is recognised.
    pub asked_hash: Vec<u8>,
    /// The last message of the agent's chat before it.
    pub watermark: Option<String>,
    /// The agent's chat it was asked in.
    pub agent_chat_id: Option<String>,
    /// How often the agent's chat had ended and was replaced.
    pub rollovers: i32,
    /// Where it stands.
    pub state: TurnState,
    /// How often it was asked. An outcome counts only for the current attempt.
    pub attempt: i32,
    /// The worker whose call is under way.
    pub worker: Option<WorkerId>,
    /// From then on the call has had its effect or never will.
    pub deadline: Millis,
    /// How often its outcome was looked up after the deadline without learning it.
    pub lookups: i32,
    /// The agent's record of the answer when it was last looked at before the deadline.
    pub seen: Option<String>,
    /// Why nobody waits for the answer any more: the reason of a takeover, or that the messages were taken back.
    pub withdrawn: Option<String>,
    /// When the first of its messages was received.
    pub received_at: Millis,
    /// When it was asked first.
    pub started_at: Millis,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// How long it took.
    pub latency_ms: Option<Millis>,
    /// The last failure's class.
    pub error_class: Option<FailureClass>,
    /// The last failure, without the customer's words.
    pub error: Option<String>,
    /// The trace of its first message.
    pub trace: Option<TraceId>,
}

impl Turn {
    /// Whether it may still change by itself. At most one turn of a chat is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, TurnState::Asking | TurnState::Reconciling | TurnState::Waiting)
    }
}

/// What a message says. Kept apart from its state, so that a change of state does not write the text again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// The first attachment's kind, or what carries the text.
    pub kind: String,
    /// The text.
    pub text: Option<String>,
    /// The attachments, as JSON.
    pub attachments: Option<String>,
    /// What it replies to, as JSON.
    pub reply_to: Option<String>,
    /// A richer message to be sent: the `message` object of Graph's Send API.
    pub payload: Option<String>,
    /// Whatever else is known of it, as JSON.
    pub metadata: Option<String>,
}

/// The error of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageError {
    /// What it means; none if the message was dropped and did not fail.
    pub class: Option<FailureClass>,
    /// Graph's code, or our word for the reason.
    pub code: Option<String>,
    /// More about it, without the customer's words.
    pub message: Option<String>,
}

/// A message, received or to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Our id.
    pub id: MessageId,
    /// Its number in the chat.
    pub seq: i64,
    /// Which way it went.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// Meta's id of it.
    pub mid: Option<String>,
    /// What it says.
    pub body: Tracked<Body>,
    /// Whether the agent is to answer it.
    pub needs_answer: bool,
    /// The turn that asks it or that it answers.
    pub turn_id: Option<TurnId>,
    /// Its place among the replies of its turn.
    pub part: Option<i32>,
    /// Where it stands.
    pub status: MessageStatus,
    /// Why it was not sent, or not answered.
    pub error: MessageError,
    /// How often it was sent. An outcome counts only for the current attempt.
    pub attempt: i32,
    /// The worker whose send is under way.
    pub worker: Option<WorkerId>,
    /// From then on the send has had its effect or never will; none once nobody looks for it any more.
    pub deadline: Option<Millis>,
    /// How often its outcome was looked up after the deadline without learning it.
    pub lookups: i32,
    /// Meta's time of it, or ours.
    pub at: Millis,
    /// When the webhook was received that it comes from or answers.
    pub received_at: Millis,
    /// When its last send began.
    pub started_at: Option<Millis>,
    /// When it was sent.
    pub sent_at: Option<Millis>,
    /// When its echo came.
    pub confirmed_at: Option<Millis>,
    /// The client's key for sending it once.
    pub idempotency_key: Option<String>,
    /// Who sent it through the API.
    pub actor: Option<String>,
    /// When the row was made.
    pub created_at: Millis,
    /// The trace of the webhook or call that brought it about.
    pub trace: Option<TraceId>,
}

/// The kind of a row that waits for its message: something spoke of its mid before it came.
pub const STUB: &str = "stub";

/// The kind of a message that was taken back.
pub const UNSENT: &str = "unsent";

impl Message {
    /// A message with nothing in it yet.
    pub fn new(direction: Direction, author: Author, status: MessageStatus) -> Self {
        Self {
            id: MessageId::new(),
            seq: 0,
            direction,
            author,
            mid: None,
            body: Tracked::loaded(Body { kind: "text".to_owned(), ..Body::default() }),
            needs_answer: false,
            turn_id: None,
            part: None,
            status,
            error: MessageError::default(),
            attempt: 0,
            worker: None,
            deadline: None,
            lookups: 0,
            at: 0,
            received_at: 0,
            started_at: None,
            sent_at: None,
            confirmed_at: None,
            idempotency_key: None,
            actor: None,
            created_at: 0,
            trace: None,
        }
    }

    /// Whether it waits for its message.
    pub fn is_stub(&self) -> bool {
        self.body.kind == STUB
    }

    /// Whether it was taken back.
    pub fn is_unsent(&self) -> bool {
        self.body.kind == UNSENT
    }

    /// Whether nobody has asked the agent about it yet.
    pub fn is_unanswered(&self) -> bool {
        self.needs_answer && self.turn_id.is_none()
    }

    /// Whether its send was begun and its outcome is being waited for or looked up.
    pub fn is_unresolved(&self) -> bool {
        match self.status {
            MessageStatus::Sending => true,
            MessageStatus::Unknown => self.deadline.is_some(),
            _ => false,
        }
    }

    /// Whether a human wrote it, through the API or in the Instagram app.
    pub fn is_by_human(&self) -> bool {
        matches!(self.author, Author::Human | Author::Native)
    }
}

/// A dead letter that a command refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Our id.
    pub id: DeadLetterId,
    /// What failed: the row's kind and id.
    pub kind: DeadLetterKind,
    /// The row's id.
    pub reference: uuid::Uuid,
    /// Why it failed, as it is stored: a later version may have classes that this one does not know.
    pub class: String,
    /// When it was written.
    pub created_at: Millis,
    /// Whether nobody has closed it yet.
    pub open: bool,
}
