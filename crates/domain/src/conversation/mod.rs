//! A conversation and everything that can happen to it: a state machine without I/O.
//!
//! A [`Conversation`] is loaded under its chat's lock, changed by [`Command`]s, and saved in the same
//! transaction. The caller then carries out its [`Effect`]s: ask, send, wait, reconcile. Every rule is
//! implemented once, here. Because the chat is locked, a guard such as "this attempt is still the current
//! one" is a plain `if`.
//!
//! Invariants, each held by the model test (`tests/model`):
//! - At most one turn is open, and at most one message is being sent.
//! - A message waiting for the agent belongs to an open turn, or the chat's turn is due, or a human has taken
//!   over the chat.
//! - A waiting reply is behind a send in progress, or the outbox is due.

mod announce;
mod answer;
mod automation;
mod broadcast;
mod command;
mod compose;
mod delivery;
mod echo;
mod effect;
mod evidence;
mod marks;
mod needs;
mod outbox;
mod policy;
mod private_reply;
mod receive;
mod replay;
mod rows;
mod rules;
mod takeover;
mod tracked;
mod turns;
mod understanding;
mod wording;

pub use automation::{PromptEcho, TextDigest};
pub use broadcast::{Broadcast, BroadcastContent};
pub use command::{
    AgentChat, AgentFailure, Claim, CloseLetter, Command, Orphan, Pause, React, Receive, Received,
    RecordAgentFailure, RecordAnswer, RecordSendFailure, RecordSent, Release, ResolveSend, ResolveTurn,
    SendByHuman, SendFailure, StartTurn, TakeOver,
};
pub use compose::{Saved, SavedKey};
pub use effect::{
    Activity, Ask, DeadLetter, Effect, Fact, Provider, Refusal, Reply, Route, Send, SendLookup, Sent,
    TurnLookup,
};
pub use evidence::{Record, RecordEntry, Role, Seen, Thread, fingerprint};
pub use needs::{Needs, SecondLook, UNANSWERED_MAX};
pub use outbox::{SendDecision, may_send};
pub use policy::{ConnectionFacts, Policy};
pub use private_reply::PrivateReply;
pub use rows::{Body, Chat, Letter, Message, MessageError, STUB, Turn, UNSENT, Work};
pub use rules::HANDOVER;
pub use takeover::{ModeReason, RUNAWAY};
pub use tracked::{Change, Tracked};
pub use turns::QUESTION_MESSAGES_MAX;
pub use understanding::Understood;

use crate::actor::Actor;
use crate::clock::Millis;
use crate::failure::FailureClass;
use crate::ids::{DeadLetterId, EventId, MessageId, TurnId, id_at};
use crate::media::Kept;
use crate::retry::Schedule;
use crate::states::{ActivityKind, ChatMode, DeadLetterKind, DeadLetterState, Direction, EventState};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// A conversation, with the rows its commands need.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// The database's clock, in milliseconds.
    pub now: Millis,
    /// The policy's limits.
    pub policy: Policy,
    /// Its connection.
    pub connection: ConnectionFacts,
    /// The chat.
    pub chat: Tracked<Chat>,
    /// The open turn, and turns that commands refer to.
    pub turns: Vec<Tracked<Turn>>,
    /// The unanswered messages, the outbox, and messages that commands refer to.
    pub messages: Vec<Tracked<Message>>,
    /// The dead letters that commands refer to.
    pub letters: Vec<Letter>,
    /// The saved messages that commands refer to.
    pub saved: Vec<Saved>,
    /// Private replies of the account to comments, whose calls are under way or of which nobody knows.
    pub private_replies: Vec<Body>,
    /// In how many other chats of the connection these texts came within moments of the first message.
    pub prompt_echoes: HashMap<TextDigest, u32>,
    /// A number between 0 and 1 that positions each delay of this change within its range (jitter).
    pub jitter: f64,
    /// The results of the change.
    pub changes: Changes,
}

/// The results of a change, besides the changed rows.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Effects to carry out after the commit.
    pub effects: Vec<Effect>,
    /// Facts for metrics and logs.
    pub facts: Vec<Fact>,
    /// New entries of the activity log.
    pub activities: Vec<Activity>,
    /// New dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters closed by this change, with actor and resulting state.
    pub closed_letters: Vec<(Letter, DeadLetterState, String)>,
    /// Processed events and their final states.
    pub events: Vec<(EventId, EventState)>,
    /// The customer has read everything sent up to this message: its sequence number, and when.
    pub read_up_to: Option<(i64, Millis)>,
    /// Unanswered messages beyond the loaded ones are dropped, for this reason.
    pub dropped: Option<MessageError>,
    /// What new messages have brought besides text, as far as it is kept.
    pub media: Vec<(MessageId, Kept)>,
    /// Echoes that may be Instagram's own.
    pub prompt_echoes: Vec<PromptEcho>,
    /// Agent chats that this conversation has from now on.
    pub opened_agent_chats: Vec<AgentChat>,
    /// Agent chats that were opened while another had been, and are not used.
    pub unused_agent_chats: Vec<AgentChat>,
    /// Agent chats to be deleted at their provider.
    pub former_agent_chats: Vec<String>,
    /// Messages dropped for a failure of this class wait again: see [`replay`].
    pub revived: Option<replay::Revived>,
}

pub use replay::Revived;

impl Conversation {
    /// A conversation with only its chat loaded.
    pub fn new(now: Millis, policy: Policy, connection: ConnectionFacts, chat: Tracked<Chat>) -> Self {
        Self {
            now,
            policy,
            connection,
            chat,
            turns: Vec::new(),
            messages: Vec::new(),
            letters: Vec::new(),
            saved: Vec::new(),
            private_replies: Vec::new(),
            prompt_echoes: HashMap::new(),
            jitter: 1.0,
            changes: Changes::default(),
        }
    }

    /// Applies a command.
    pub fn apply(&mut self, command: Command) -> Reply {
        let before = self.before();
        self.follow_agent();
        let reply = self.carry_out(command);
        self.renew_agent_chat();
        self.announce(&before);
        reply
    }

    fn carry_out(&mut self, command: Command) -> Reply {
        match command {
            Command::Receive(receive) => self.receive(receive),
            Command::StartTurn(start) => self.start_turn(&start),
            Command::RecordAnswer(answer) => self.record_answer(answer),
            Command::RecordAgentFailure(failure) => self.record_agent_failure(&failure),
            Command::RecordNoAgentChat(failure) => self.record_no_agent_chat(&failure),
            Command::ResolveTurn(resolve) => self.resolve_turn(resolve),
            Command::ClaimSend(claim) => self.claim_send(claim),
            Command::RecordSent(sent) => self.record_sent(&sent),
            Command::RecordSendFailure(failure) => self.record_send_failure(&failure),
            Command::ResolveSend(resolve) => self.resolve_send(resolve),
            Command::Orphan(orphan) => self.orphan(orphan),
            Command::SendByHuman(send) => self.send_by_human(send),
            Command::React(react) => self.react(react),
            Command::Understand(understood) => self.understand(understood),
            Command::Broadcast(broadcast) => self.broadcast(&broadcast),
            Command::PrivateReply(reply) => self.private_reply(reply),
            Command::TakeOver(take_over) => self.take_over_by(&take_over),
            Command::Release(release) => self.release(&release),
            Command::Replay(close) => self.replay(&close),
            Command::Discard(close) => self.discard(&close),
            Command::RecognizeAutomation(mid) => self.recognize_automation(&mid),
            Command::Distrust => self.distrust(),
        }
    }

    /// The index of the open turn among the loaded turns.
    fn open_turn(&self) -> Option<usize> {
        self.turns.iter().position(|turn| turn.is_open())
    }

    fn turn(&mut self, id: TurnId) -> Option<&mut Tracked<Turn>> {
        self.turns.iter_mut().find(|turn| turn.id == id)
    }

    fn message(&mut self, id: MessageId) -> Option<&mut Tracked<Message>> {
        self.live_mut().find(|message| message.id == id)
    }

    fn live(&self) -> impl Iterator<Item = &Tracked<Message>> {
        self.messages.iter().filter(|message| message.is_live())
    }

    fn live_mut(&mut self) -> impl Iterator<Item = &mut Tracked<Message>> {
        self.messages.iter_mut().filter(|message| message.is_live())
    }

    fn message_by_mid(&self, mid: &str) -> Option<&Tracked<Message>> {
        self.live().find(|message| message.mid.as_deref() == Some(mid))
    }

    /// Appends a message to the chat.
    fn add_message(&mut self, mut message: Message) -> MessageId {
        self.chat.last_seq += 1;
        // In whole seconds: lists are ordered by it, and their index need not be updated by every message.
        self.chat.last_message_at = self.chat.last_message_at.max(self.now - self.now.rem_euclid(1_000));
        message.seq = self.chat.last_seq;
        message.created_at = self.now;
        let id = message.id;
        if message.is_by_human() {
            self.chat.human_seq = message.seq;
        }
        self.messages.push(Tracked::inserted(message));
        id
    }

    /// Whether a human wrote, or took over the chat, after this message.
    fn is_superseded(&self, seq: i64) -> bool {
        self.chat.human_seq > seq
    }

    fn record(&mut self, activity: Activity) {
        self.changes.activities.push(activity);
    }

    /// An activity about an object of this chat.
    fn activity(
        &self,
        kind: ActivityKind,
        actor: impl Into<Actor>,
        subject: impl std::fmt::Display,
    ) -> Activity {
        let mut activity = Activity {
            kind,
            actor: actor.into(),
            subject: Some(subject.to_string()),
            details: serde_json::Map::new(),
        };
        activity.details.insert("chatId".to_owned(), Value::from(self.chat.id.to_string()));
        activity
    }

    fn dead_letter(
        &mut self,
        subject: (DeadLetterKind, Uuid),
        class: FailureClass,
        error: &str,
        attempts: i32,
    ) {
        let (kind, reference) = subject;
        let id: DeadLetterId = id_at(self.now);
        let opened = self
            .activity(ActivityKind::DeadLetterOpened, "system", id)
            .with("class", class.as_str())
            .with("kind", kind.as_str())
            .with("reference", reference.to_string());
        self.record(opened);
        let error = error.to_owned();
        self.changes.dead_letters.push(DeadLetter { id, kind, reference, class, error, attempts });
    }

    /// The delay of this retry schedule after so many consecutive failures.
    fn delay(&self, schedule: Schedule, failures: i32) -> Millis {
        crate::clock::millis(schedule.part_of(u32::try_from(failures).unwrap_or(1), self.jitter))
    }

    /// Whether the chat's mode lets the agent speak now.
    fn agent_speaks(&self) -> bool {
        self.chat.mode == ChatMode::Bot
    }

    /// Number of loaded received messages that wait for the agent.
    fn unanswered(&self) -> impl Iterator<Item = &Tracked<Message>> {
        self.live().filter(|message| message.is_unanswered() && message.direction == Direction::Inbound)
    }
}

impl Activity {
    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}
