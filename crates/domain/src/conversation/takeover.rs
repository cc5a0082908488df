//! Takeover: a human agent steps in; from then on the agent is silent, and its unsent replies are not sent.

use super::Conversation;
use super::command::{Pause, Release, SendByHuman, TakeOver};
use super::effect::{Effect, Refusal, Reply};
use super::marks::TAKEN_BACK;
use super::outbox::{SendDecision, may_send};
use super::rows::{Chat, Message, MessageError};
use super::rules::HANDOVER;
use crate::actor::Actor;
use crate::clock::{Millis, duration};
use crate::ids::MessageId;
use crate::states::{ActivityKind, Author, ChatMode, Direction, MessageStatus, TurnState};
use std::fmt;

/// The flag of a chat with too many turns in an hour.
pub const RUNAWAY: &str = "runaway";

const HOUR: Millis = 3_600_000;

/// How long the pushed job has to be picked up before the poller takes over.
const PICKUP: Millis = 2_000;

/// What set a chat's mode. The values are stored, and shown by the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeReason {
    /// A takeover through the API.
    Api,
    /// A message sent through the API.
    Send,
    /// A message written in the Instagram app, by its mid. Undone if the message turns out to be ours.
    Echo(String),
    /// A takeover whose first message turned out to be ours, but more followed.
    Human,
    /// Too many turns in an hour.
    Runaway,
    /// The agent, or a rule, handed the chat over.
    Handover,
}

impl ModeReason {
    /// The mid of the message in the Instagram app that this reason names, if it names one.
    pub(super) fn echo_of(reason: &str) -> Option<&str> {
        reason.strip_prefix("echo:")
    }
}

impl fmt::Display for ModeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("api"),
            Self::Send => f.write_str("send"),
            Self::Echo(mid) => write!(f, "echo:{mid}"),
            Self::Human => f.write_str("person"),
            Self::Runaway => f.write_str(RUNAWAY),
            Self::Handover => f.write_str(HANDOVER),
        }
    }
}

impl Chat {
    /// Whether a human agent is to answer because the agent, or a rule, wanted it, and none has come yet.
    pub(super) fn is_handed_over(&self) -> bool {
        self.mode == ChatMode::Human
            && self.mode_reason.as_deref() == Some(HANDOVER)
            && self.flag.as_deref() == Some(HANDOVER)
    }
}

impl Conversation {
    /// A human takes over the chat for so long. One that was taken over until it is released stays so when somebody
    /// writes.
    pub(super) fn take_over(&mut self, reason: &ModeReason, pause: Pause) {
        // An earlier takeover keeps its reason: undoing this one must not undo that one. A takeover that
        // cannot be undone has its own reason, because undoing an earlier one must not undo it.
        let kept = self.chat.mode_reason.clone().filter(|_| self.chat.mode != ChatMode::Bot);
        let word = match (reason, kept) {
            (ModeReason::Echo(_), Some(kept)) => kept,
            _ => reason.to_string(),
        };
        for message in self.live_mut() {
            if message.status == MessageStatus::Queued && message.is_by_machine() {
                message.status = MessageStatus::Suppressed;
                message.error.code = Some(word.clone());
            }
        }
        self.drop_unanswered(&MessageError { code: Some(word.clone()), ..MessageError::default() });
        self.chat.mode_reason = Some(word.clone());
        let has_no_end = self.chat.mode == ChatMode::Human && self.chat.resume_at.is_none();
        self.chat.mode = ChatMode::Human;
        self.chat.resume_at = match pause {
            Pause::UntilReleased => None,
            Pause::Usual if has_no_end => None,
            Pause::Usual => Some(self.now + self.takeover_pause()),
            Pause::For(pause) => Some(self.now + pause),
        };
        self.chat.human_seq = self.chat.last_seq;
        self.withdraw_open_turn(&word);
        self.no_longer_waits();
    }

    /// A human agent has come to the chat that was handed over.
    fn no_longer_waits(&mut self) {
        self.chat.flag.take_if(|flag| flag == HANDOVER);
    }

    /// No one waits for the open turn's answer any more. If it waits to be asked again, it is not asked; if
    /// it is being asked, its answer will be suppressed whenever it arrives.
    pub(super) fn withdraw_open_turn(&mut self, reason: &str) {
        match self.open_turn() {
            None => self.chat.turn.clear(),
            Some(open) if self.turns[open].state == TurnState::Waiting => {
                self.suppress_turn(open, reason);
                self.chat.turn.clear();
            }
            // What was taken back stays so, whatever is undone later.
            Some(open) if self.turns[open].withdrawn.as_deref() == Some(TAKEN_BACK) => {}
            Some(open) => self.turns[open].withdrawn = Some(reason.to_owned()),
        }
    }

    /// The turn was not asked and will not be. The agent is told about its messages later.
    pub(super) fn suppress_turn(&mut self, turn: usize, reason: &str) {
        let now = self.now;
        let turn = &mut self.turns[turn];
        let id = turn.id;
        (turn.state, turn.finished_at, turn.worker) = (TurnState::Suppressed, Some(now), None);
        turn.error = Some(format!("not asked: {reason}"));
        turn.withdrawn.get_or_insert_with(|| reason.to_owned());
        for message in self.live_mut() {
            if message.turn_id == Some(id) && message.part.is_none() && message.needs_answer {
                message.needs_answer = false;
                message.error.code = Some(reason.to_owned());
            }
        }
    }

    /// The unanswered messages will not be answered, for this reason.
    pub(super) fn drop_unanswered(&mut self, error: &MessageError) {
        for message in self.live_mut().filter(|message| message.is_unanswered()) {
            message.needs_answer = false;
            message.error = error.clone();
        }
        // There may be more than were loaded.
        self.changes.dropped = Some(error.clone());
        self.chat.first_unanswered_at = None;
    }

    /// Undoes the takeover with this reason: the message at `seq` was not a human's.
    pub(super) fn undo_takeover(&mut self, reason: &ModeReason, seq: i64) {
        let word = reason.to_string();
        if self.chat.mode_reason.as_deref() != Some(&word) {
            return;
        }
        let humans = self.live().filter(|message| message.is_by_human() && message.seq > seq);
        if let Some(later) = humans.max_by_key(|message| message.seq) {
            // A human still has the chat, for another reason; that of a message in the app may be undone as well.
            let mid = later.mid.clone().filter(|_| later.author == Author::Native);
            let reason = mid.map_or(ModeReason::Human, ModeReason::Echo).to_string();
            self.pass_on_takeover(&word, &reason);
            return;
        }
        // Taken over and given back by one transaction: what was not loaded was not dropped yet, and is not.
        self.changes.dropped.take_if(|error| error.code.as_deref() == Some(&word));
        for message in self.live_mut().filter(|message| message.error.code.as_deref() == Some(&word)) {
            message.error = MessageError::default();
            match (message.direction, message.status) {
                (Direction::Outbound, MessageStatus::Suppressed) => message.status = MessageStatus::Queued,
                (Direction::Inbound, _) if !message.is_unsent() => {
                    (message.needs_answer, message.turn_id) = (true, None);
                }
                _ => {}
            }
        }
        if let Some(open) =
            self.open_turn().filter(|open| self.turns[*open].withdrawn.as_deref() == Some(&word))
        {
            self.turns[open].withdrawn = None;
        }
        if self.chat.first_unanswered_at.is_none() && self.unanswered().next().is_some() {
            self.chat.first_unanswered_at = Some(self.now);
        }
        let humans = self.live().filter(|message| message.is_by_human());
        self.chat.human_seq = humans.map(|message| message.seq).max().unwrap_or_default();
        self.resume_bot();
        self.continue_outbox();
    }

    /// The takeover goes on for another reason, and so does what it set aside.
    fn pass_on_takeover(&mut self, from: &str, to: &str) {
        self.chat.mode_reason = Some(to.to_owned());
        for message in self.live_mut().filter(|message| message.error.code.as_deref() == Some(from)) {
            message.error.code = Some(to.to_owned());
        }
        if let Some(dropped) =
            self.changes.dropped.as_mut().filter(|error| error.code.as_deref() == Some(from))
        {
            dropped.code = Some(to.to_owned());
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.withdrawn.as_deref() == Some(from)) {
            turn.withdrawn = Some(to.to_owned());
        }
    }

    /// The agent resumes, beginning with the unanswered messages.
    pub(super) fn resume_bot(&mut self) {
        self.chat.mode = ChatMode::Bot;
        self.chat.mode_reason = None;
        self.chat.resume_at = None;
        self.no_longer_waits();
        if self.chat.flag.as_deref() == Some(RUNAWAY) {
            self.chat.flag = None;
            // Whoever lets the conversation go on does not want it paused at its next message.
            (self.chat.hour_started_at, self.chat.hour_turns) = (self.now, 0);
        }
        self.schedule_turn();
    }

    /// If a message waits and the agent may answer, the turn is due.
    pub(super) fn schedule_turn(&mut self) {
        let busy = self.open_turn().is_some_and(|open| !self.is_waiting(open));
        if busy || self.chat.first_unanswered_at.is_none() || !self.agent_speaks() {
            return;
        }
        if self.chat.turn.due_at.is_none() {
            let now = self.now;
            self.chat.turn.schedule(now);
        }
        let due = self.chat.turn.due_at.unwrap_or(self.now);
        self.changes.effects.push(Effect::WakeTurn(duration(due - self.now)));
    }

    pub(super) fn is_waiting(&self, turn: usize) -> bool {
        self.turns[turn].state == TurnState::Waiting
    }

    /// The duration of a takeover.
    pub(super) fn takeover_pause(&self) -> Millis {
        self.connection
            .settings
            .takeover_hours
            .map_or(self.policy.takeover, |hours| Millis::from(hours) * HOUR)
    }

    /// Logs a takeover, unless a human already has the chat.
    pub(super) fn log_takeover(&mut self, actor: impl Into<Actor>, reason: &str) {
        if self.chat.mode != ChatMode::Human {
            let paused = self.activity(ActivityKind::BotPaused, actor, self.chat.id).with("reason", reason);
            self.record(paused);
        }
    }

    pub(super) fn take_over_by(&mut self, take_over: &TakeOver) -> Reply {
        self.take_over(&ModeReason::Api, take_over.pause);
        let reason = ModeReason::Api.to_string();
        let paused =
            self.activity(ActivityKind::BotPaused, &take_over.actor, self.chat.id).with("reason", reason);
        self.record(paused);
        Reply::Done
    }

    pub(super) fn release(&mut self, release: &Release) -> Reply {
        let due = self.chat.resume_at.is_some_and(|at| at <= self.now);
        if self.chat.mode == ChatMode::Bot || (*release == Release::Expired && !due) {
            return Reply::Idle;
        }
        self.resume_bot();
        let resumed = match release {
            Release::By(actor) => self.activity(ActivityKind::BotResumed, actor, self.chat.id),
            Release::Expired => self
                .activity(ActivityKind::BotResumed, "system", self.chat.id)
                .with("reason", "the pause is over"),
        };
        self.record(resumed);
        Reply::Done
    }

    pub(super) fn send_by_human(&mut self, send: SendByHuman) -> Reply {
        if self.message(send.message).is_some() {
            return Reply::Done;
        }
        let new = of_human(send, self.now);
        match may_send(self, &new) {
            SendDecision::Send { .. } => {}
            SendDecision::TooLate => return Reply::Refused(Refusal::WindowClosed),
            SendDecision::Suppress | SendDecision::Wait => return Reply::Refused(Refusal::NotConnected),
        }
        let actor = new.actor.clone().unwrap_or_default();
        self.log_takeover(actor, &ModeReason::Send.to_string());
        self.take_over(&ModeReason::Send, Pause::Usual);
        self.chat.trace = new.trace;
        self.add_message(new);
        let now = self.now;
        if self.chat.outbox.due_at.is_none() || self.chat.outbox.attempts == 0 {
            self.chat.outbox.due_at = Some(now);
            self.chat.outbox.reserved_until = now + PICKUP;
        }
        self.changes.effects.push(Effect::WakeOutbox(duration(0)));
        Reply::Done
    }
}

fn of_human(send: SendByHuman, now: Millis) -> Message {
    let mut new = Message::new(Direction::Outbound, Author::Human, MessageStatus::Queued);
    new.id = MessageId(send.message.0);
    new.body = super::Tracked::loaded(send.body);
    new.idempotency_key = send.idempotency_key;
    new.actor = Some(send.actor);
    new.sent_by = send.sent_by;
    new.trace = send.trace;
    (new.at, new.received_at) = (now, now);
    new
}
