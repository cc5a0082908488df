//! The rows of a conversation, as used by decisions.

use super::tracked::Tracked;
use crate::actor::Actor;
use crate::clock::Millis;
use crate::failure::FailureClass;
use crate::ids::{AgentId, ChatId, DeadLetterId, InstagramUserId, MessageId, TurnId, WorkerId};
use crate::states::{AgentChatStatus, Author, ChatMode, DeadLetterKind, Direction, MessageStatus, TurnState};
use crate::trace::TraceId;

/// One kind of a chat's work: its next turn, or its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// When the work is due; `None` if nothing waits, or a call is in progress.
    pub due_at: Option<Millis>,
    /// Consecutive failures.
    pub attempts: i32,
    /// Until then the worker it was given to is expected to do it, and the poller skips it.
    pub reserved_until: Millis,
}

impl Work {
    /// Nothing is waiting any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// A call is in progress, or nothing waits; consecutive failures still count.
    pub fn clear_due(&mut self) {
        (self.due_at, self.reserved_until) = (None, 0);
    }

    /// Due at `at`, for whoever comes first.
    pub fn schedule(&mut self, at: Millis) {
        self.due_at = Some(at);
        self.reserved_until = 0;
    }
}

/// The chat of one Instagram user with one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its id.
    pub id: ChatId,
    /// The customer.
    pub user: InstagramUserId,
    /// The customer's username, where it is known.
    pub username: Option<String>,
    /// The customer's name, where it is known.
    pub name: Option<String>,
    /// Who answers: the agent or a human.
    pub mode: ChatMode,
    /// The reason of the mode; see [`super::ModeReason`].
    pub mode_reason: Option<String>,
    /// When the agent resumes on its own.
    pub resume_at: Option<Millis>,
    /// Why the chat needs a human's attention.
    pub flag: Option<String>,
    /// When Meta's 24-hour window closes.
    pub window_expires_at: Option<Millis>,
    /// The agent that the agent chat is with.
    pub agent: Option<AgentId>,
    /// The agent chat's id at its provider.
    pub agent_chat_id: Option<String>,
    /// The last message of the agent chat that is accounted for.
    pub agent_watermark: Option<String>,
    /// Whether the agent chat takes questions, as far as is known.
    pub agent_chat_status: AgentChatStatus,
    /// A former agent chat ended: the next question tells what was said before.
    pub recall: bool,
    /// The agent chat knows what was unsent meanwhile: it is replaced as soon as nothing is under way in it.
    pub renew: bool,
    /// Until then somebody opens an agent chat; 0 if nobody does.
    pub opening_until: Millis,
    /// The agent knows the conversation up to this message.
    pub agent_seq: i64,
    /// Replies to messages up to this one are superseded: a human wrote or took over after it.
    pub human_seq: i64,
    /// The database was restored: the agent's record must be read before anything is asked.
    pub verify: bool,
    /// When the oldest message waiting for an answer arrived.
    pub first_unanswered_at: Option<Millis>,
    /// The next turn.
    pub turn: Work,
    /// The outbox.
    pub outbox: Work,
    /// The newest message that the agent is to be told of: how the customer arrived, or what was sent without it.
    pub note_seq: i64,
    /// When the customer was last told that a message cannot be read.
    pub notice_at: Millis,
    /// Since when the customer wants no broadcasts.
    pub opted_out_at: Option<Millis>,
    /// What was received until then is erased, and not taken in any more; 0 for nothing.
    pub erased_at: Millis,
    /// Start of the hour in which turns are counted.
    pub hour_started_at: Millis,
    /// Turns begun in that hour.
    pub hour_turns: i32,
    /// The sequence number of the newest message.
    pub last_seq: i64,
    /// Time of the last message.
    pub last_message_at: Millis,
    /// The trace of the first unanswered message, or of the next message to send.
    pub trace: Option<TraceId>,
}

impl Chat {
    /// The message after which the history begins that the agent may be told, of at most the `most` newest.
    pub fn history_after(&self, most: i64) -> i64 {
        let newest = self.last_seq - most;
        if self.recall { newest } else { self.agent_seq.max(newest) }
    }

    /// A new chat.
    pub fn new(id: ChatId, user: InstagramUserId) -> Self {
        Self {
            id,
            user,
            username: None,
            name: None,
            mode: ChatMode::Bot,
            mode_reason: None,
            resume_at: None,
            flag: None,
            window_expires_at: None,
            agent: None,
            agent_chat_id: None,
            agent_watermark: None,
            agent_chat_status: AgentChatStatus::Ongoing,
            recall: false,
            renew: false,
            opening_until: 0,
            agent_seq: 0,
            human_seq: 0,
            verify: false,
            first_unanswered_at: None,
            turn: Work::default(),
            outbox: Work::default(),
            note_seq: 0,
            notice_at: 0,
            opted_out_at: None,
            erased_at: 0,
            hour_started_at: 0,
            hour_turns: 0,
            last_seq: 0,
            last_message_at: 0,
            trace: None,
        }
    }
}

/// One question to the agent and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// The messages it asks about.
    pub message_ids: Vec<MessageId>,
    /// The sequence number of the newest of them.
    pub asked_seq: i64,
    /// SHA-256 of the folded text, to match the agent's copy.
    pub asked_hash: Vec<u8>,
    /// The last message of the agent chat before it.
    pub watermark: Option<String>,
    /// The agent chat it was asked in.
    pub agent_chat_id: Option<String>,
    /// How often the agent chat had ended and was replaced.
    pub rollovers: i32,
    /// Its state.
    pub state: TurnState,
    /// Number of attempts. An outcome counts only for the current attempt.
    pub attempt: i32,
    /// The worker whose call is in progress.
    pub worker: Option<WorkerId>,
    /// After this time the call has taken effect or never will.
    pub deadline: Millis,
    /// Number of inconclusive lookups after the deadline.
    pub lookups: i32,
    /// Digest of the answer in the agent's record at the last read before the deadline.
    pub seen: Option<String>,
    /// Why no one waits for the answer any more: the reason of a takeover, or that the messages were unsent.
    pub withdrawn: Option<String>,
    /// When the customer wrote the first of its messages, by Meta's timestamp.
    pub written_at: Millis,
    /// When the first of its messages was received.
    pub received_at: Millis,
    /// When it was first asked.
    pub started_at: Millis,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// The response time.
    pub latency_ms: Option<Millis>,
    /// The class of the last failure.
    pub error_class: Option<FailureClass>,
    /// The last error, without message text.
    pub error: Option<String>,
    /// The trace of its first message.
    pub trace: Option<TraceId>,
}

impl Turn {
    /// Whether its state may still change on its own. At most one turn of a chat is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, TurnState::Asking | TurnState::Reconciling | TurnState::Waiting)
    }
}

/// The content of a message. Separate from its state, so that a change of state does not write the text
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// The kind of the first attachment, or of the text.
    pub kind: String,
    /// The text.
    pub text: Option<String>,
    /// The attachments, as JSON.
    pub attachments: Option<String>,
    /// What it replies to, as JSON.
    pub reply_to: Option<String>,
    /// The `message` object of Graph's Send API, if the message is more than text.
    pub payload: Option<String>,
    /// Other metadata, as JSON.
    pub metadata: Option<String>,
}

/// The error of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageError {
    /// The failure class; `None` if the message was dropped and did not fail.
    pub class: Option<FailureClass>,
    /// Graph's error code, or our own reason code.
    pub code: Option<String>,
    /// Error details, without message text.
    pub message: Option<String>,
}

/// A message, received or sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its sequence number in the chat.
    pub seq: i64,
    /// Its direction.
    pub direction: Direction,
    /// Its author.
    pub author: Author,
    /// Meta's message id.
    pub mid: Option<String>,
    /// Its content.
    pub body: Tracked<Body>,
    /// Whether the agent should answer it.
    pub needs_answer: bool,
    /// The turn that asks about it or that produced it.
    pub turn_id: Option<TurnId>,
    /// Its position among the replies of its turn.
    pub part: Option<i32>,
    /// Its status.
    pub status: MessageStatus,
    /// Why it was not sent, or not answered.
    pub error: MessageError,
    /// Number of send attempts. An outcome counts only for the current attempt.
    pub attempt: i32,
    /// The worker whose send is in progress.
    pub worker: Option<WorkerId>,
    /// After this time the send has taken effect or never will; `None` once it is no longer reconciled.
    pub deadline: Option<Millis>,
    /// Number of inconclusive lookups after the deadline.
    pub lookups: i32,
    /// Meta's timestamp, otherwise ours; of a reply that waits as if somebody were writing it, when it is to be sent.
    pub at: Millis,
    /// When the webhook that contained it, or that it answers, was received.
    pub received_at: Millis,
    /// When its last send began.
    pub started_at: Option<Millis>,
    /// When it was sent.
    pub sent_at: Option<Millis>,
    /// When its echo arrived.
    pub confirmed_at: Option<Millis>,
    /// The client's idempotency key.
    pub idempotency_key: Option<String>,
    /// Who sent it through the API.
    pub actor: Option<Actor>,
    /// The person on whose behalf, by name.
    pub sent_by: Option<String>,
    /// When the row was created.
    pub created_at: Millis,
    /// The trace of the webhook or call that caused it.
    pub trace: Option<TraceId>,
}

/// The kind of a stub, which waits for its message: an event referred to its mid before it arrived.
pub const STUB: &str = "stub";

/// The kind of a note of how the customer arrived.
pub(super) const REFERRAL: &str = "referral";

/// The kind of an unsent message.
pub const UNSENT: &str = "unsent";

impl Message {
    /// An empty message.
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
            sent_by: None,
            created_at: 0,
            trace: None,
        }
    }

    /// Whether it is a stub.
    pub fn is_stub(&self) -> bool {
        self.body.kind == STUB
    }

    /// Whether it is a note of how the customer arrived.
    pub fn is_arrival(&self) -> bool {
        self.author == Author::System && self.body.kind == REFERRAL
    }

    /// Whether it was unsent.
    pub fn is_unsent(&self) -> bool {
        self.body.kind == UNSENT
    }

    /// Whether the agent has not been asked about it yet.
    pub fn is_unanswered(&self) -> bool {
        self.needs_answer && self.turn_id.is_none()
    }

    /// Whether its send was begun and its outcome is awaited or being reconciled.
    pub fn is_unresolved(&self) -> bool {
        match self.status {
            MessageStatus::Sending => true,
            MessageStatus::Unknown => self.deadline.is_some(),
            _ => false,
        }
    }

    /// Whether the agent, a rule or a broadcast says it: nobody who would talk over a human.
    pub fn is_by_machine(&self) -> bool {
        matches!(self.author, Author::Agent | Author::Rule | Author::Broadcast)
    }

    /// Whether a human wrote it, through the API or in the Instagram app.
    pub fn is_by_human(&self) -> bool {
        matches!(self.author, Author::Human | Author::Native)
    }
}

/// A dead letter that a command refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its id.
    pub id: DeadLetterId,
    /// The kind of the failed row.
    pub kind: DeadLetterKind,
    /// The id of the failed row.
    pub reference: uuid::Uuid,
    /// The failure class, as stored: a later version may have classes unknown to this one.
    pub class: String,
    /// When it was created.
    pub created_at: Millis,
    /// Whether it is still open.
    pub open: bool,
}
