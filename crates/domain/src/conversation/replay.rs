//! Replays or discards dead letters on a human's request. A replay restores the failed object to its state
//! before the failure.

use super::Conversation;
use super::command::CloseLetter;
use super::effect::{Refusal, Reply};
use super::outbox::{SendDecision, may_send};
use super::rows::{Letter, MessageError, STUB};
use crate::actor::Actor;
use crate::clock::Millis;
use crate::ids::{MessageId, TurnId};
use crate::states::{
    ActivityKind, Author, ChatMode, ConnectionStatus, DeadLetterKind, DeadLetterState, Direction,
    MessageStatus, TurnState,
};
use crate::window::{self, Window};

/// Readable reasons why a replay cannot succeed.
type Hindrance = Result<(), &'static str>;

const GONE: &str = "what failed is no longer stored";
const NOT_FAILED: &str = "it is no longer in a failed state";
const TAKEN_BACK: &str = "the customer took the message back";
const NOBODY_WAITS: &str = "the customer took it back, or it was already asked again";
const TAKEN_OVER: &str = "a human agent has taken over the chat";
const ANSWERED: &str = "a human agent has written in the chat since";
const PAUSED: &str = "the agent is paused in this chat";
const DISCONNECTED: &str = "the account is not connected";
const WINDOW: &str = "Meta's window for replies is closed until the customer writes again";

/// Messages dropped together with the object of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revived {
    /// The failure class they were dropped for, as stored.
    pub class: String,
    /// Not before this time of Meta's.
    pub from: Millis,
    /// Created no later than this.
    pub until: Millis,
}

impl Conversation {
    pub(super) fn discard(&mut self, close: &CloseLetter) -> Reply {
        match self.open_letter(close) {
            Some(letter) => self.close_letter(letter, DeadLetterState::Discarded, &close.actor),
            None => Reply::Refused(Refusal::NotOpen),
        }
    }

    /// Replays a dead letter. If it would fail again, the letter stays open.
    pub(super) fn replay(&mut self, close: &CloseLetter) -> Reply {
        let Some(letter) = self.open_letter(close) else { return Reply::Refused(Refusal::NotOpen) };
        match self.revive(&letter) {
            Ok(()) => self.close_letter(letter, DeadLetterState::Replayed, &close.actor),
            Err(why) => Reply::Refused(Refusal::WouldFail(why)),
        }
    }

    fn open_letter(&self, close: &CloseLetter) -> Option<Letter> {
        self.letters.iter().find(|letter| letter.id == close.letter && letter.open).cloned()
    }

    fn close_letter(&mut self, letter: Letter, state: DeadLetterState, actor: &Actor) -> Reply {
        for known in &mut self.letters {
            known.open &= known.id != letter.id;
        }
        let kind = match state {
            DeadLetterState::Discarded => ActivityKind::DeadLetterDiscarded,
            _ => ActivityKind::DeadLetterReplayed,
        };
        let closed = self
            .activity(kind, actor, letter.id)
            .with("class", letter.class.as_str())
            .with("kind", letter.kind.as_str())
            .with("reference", letter.reference.to_string());
        self.record(closed);
        self.changes.closed_letters.push((letter, state, actor.name.clone()));
        Reply::Done
    }

    fn revive(&mut self, letter: &Letter) -> Hindrance {
        let unusable = [Some(ConnectionStatus::Disconnecting), Some(ConnectionStatus::Disconnected)];
        if unusable.contains(&self.connection.status) {
            return Err(DISCONNECTED);
        }
        match letter.kind {
            // Events are not part of a conversation until they are ingested.
            DeadLetterKind::Event => Err(GONE),
            DeadLetterKind::Turn => self.revive_turn(letter),
            DeadLetterKind::Message => {
                let id = MessageId(letter.reference);
                let found = self.messages.iter().position(|message| message.is_live() && message.id == id);
                let index = found.ok_or(GONE)?;
                if self.messages[index].direction == Direction::Inbound {
                    let (seq, at) = (self.messages[index].seq, self.messages[index].at);
                    self.check_not_answered(seq)?;
                    return self.ask_about(letter, at);
                }
                self.revive_send(index)
            }
        }
    }

    fn check_not_answered(&self, seq: i64) -> Hindrance {
        if self.is_superseded(seq) { Err(ANSWERED) } else { Ok(()) }
    }

    /// The turn stays ended; its messages are asked about in a new one.
    fn revive_turn(&mut self, letter: &Letter) -> Hindrance {
        let id = TurnId(letter.reference);
        let turn = self.turns.iter().find(|turn| turn.id == id).ok_or(GONE)?;
        if !matches!(turn.state, TurnState::Failed | TurnState::Unknown) {
            return Err(NOT_FAILED);
        }
        let asked =
            |message: &&super::Tracked<super::Message>| message.turn_id == Some(id) && message.part.is_none();
        let first = self.live().filter(asked).map(|message| message.at).min().ok_or(NOBODY_WAITS)?;
        let last = self.live().filter(asked).map(|message| message.seq).max().unwrap_or_default();
        self.check_not_answered(last)?;
        for message in self.live_mut() {
            if message.turn_id == Some(id) && message.part.is_none() && !message.is_unsent() {
                (message.needs_answer, message.turn_id) = (true, None);
                message.error = MessageError::default();
            }
        }
        self.ask_about(letter, first)
    }

    /// The chat's turn is due, for the messages that wait again and those dropped together with the letter's
    /// object: the letter names only one of them.
    fn ask_about(&mut self, letter: &Letter, first: Millis) -> Hindrance {
        self.check_agent_speaks()?;
        if window::at(self.chat.window_expires_at, self.now) != Window::Open {
            return Err(WINDOW);
        }
        let dropped = Revived { class: letter.class.clone(), from: first, until: letter.created_at };
        for message in self.live_mut() {
            let same_failure = message.error.class.is_some_and(|class| class.as_str() == dropped.class);
            let then = message.at >= dropped.from && message.created_at <= dropped.until;
            let received = message.direction == Direction::Inbound && message.turn_id.is_none();
            if received && !message.needs_answer && same_failure && then && !message.is_unsent() {
                message.needs_answer = true;
                message.error = MessageError::default();
            }
        }
        if self.unanswered().next().is_none() {
            return Err(NOBODY_WAITS);
        }
        self.changes.revived = Some(dropped);
        self.chat.turn.attempts = 0;
        self.chat.first_unanswered_at.get_or_insert(self.now);
        if self.chat.turn.due_at.is_some() {
            let now = self.now;
            self.chat.turn.schedule(now);
        }
        self.schedule_turn();
        Ok(())
    }

    fn check_agent_speaks(&self) -> Hindrance {
        match self.chat.mode {
            ChatMode::Bot => Ok(()),
            ChatMode::Human => Err(TAKEN_OVER),
            ChatMode::Paused => Err(PAUSED),
        }
    }

    fn revive_send(&mut self, index: usize) -> Hindrance {
        let message = &self.messages[index];
        let (agent, seq, unsent) = (message.author == Author::Agent, message.seq, message.is_unsent());
        if unsent || message.body.kind == STUB || (agent && self.answers_nothing(index)) {
            return Err(TAKEN_BACK);
        }
        if agent {
            self.check_agent_speaks()?;
            self.check_not_answered(seq)?;
        }
        if may_send(self, &self.messages[index]) == SendDecision::TooLate {
            return Err(WINDOW);
        }
        let now = self.now;
        let message = &mut self.messages[index];
        // Invariant: the attempt only grows, so outcomes from before no longer count.
        match message.status {
            MessageStatus::Failed => {
                (message.status, message.started_at) = (MessageStatus::Queued, None);
                message.attempt += 1;
            }
            // It may have been sent after all: Meta's list is read before it is sent again.
            MessageStatus::Unknown if message.deadline.is_none() => {
                (message.deadline, message.lookups) = (Some(now), 0);
                message.attempt += 1;
            }
            _ => return Err(NOT_FAILED),
        }
        message.error = MessageError::default();
        let (turn, part) = (message.turn_id, message.part);
        for later in self.live_mut() {
            let same_answer =
                turn.is_some() && later.turn_id == turn && later.part.is_some() && later.part > part;
            if same_answer && later.status == MessageStatus::Cancelled {
                later.status = MessageStatus::Queued;
                later.attempt += 1;
            }
        }
        self.chat.outbox.attempts = 0;
        self.chat.outbox.schedule(now);
        self.continue_outbox();
        Ok(())
    }

    /// Whether everything an agent's message answers was unsent, or now belongs to a human.
    fn answers_nothing(&self, index: usize) -> bool {
        let Some(id) = self.messages[index].turn_id else { return false };
        self.turns.iter().any(|turn| turn.id == id && turn.withdrawn.is_some())
    }
}
