//! Records the outcome of a question: an answer, a failure, or what the agent's own record shows.

use super::command::{AgentFailure, Claim, RecordAgentFailure, RecordAnswer, ResolveTurn};
use super::compose::Composed;
use super::effect::{Effect, Fact, Reply};
use super::evidence::{Record, TurnEvidence, digest};
use super::marks::{TAKEN_BACK, merged};
use super::rows::{Body, Message, MessageError};
use super::{Conversation, Tracked};
use crate::clock::{Millis, duration};
use crate::failure::FailureClass;
use crate::ids::TurnId;
use crate::retry;
use crate::split::MAX_BYTES;
use crate::states::{AgentChatStatus, Author, DeadLetterKind, Direction, MessageStatus, TurnState};
use crate::text::truncate;
use crate::window::{self, Window};

/// The part number of a fallback text, sent in place of an answer.
const FALLBACK_PART: i32 = -1;

/// Pause of an agent after throttling without a given delay.
const THROTTLED_DELAY: Millis = 10_000;
/// Pause when the agent's provider rejects our key.
const REFUSED_DELAY: Millis = 60_000;

impl Conversation {
    pub(super) fn record_answer(&mut self, answer: RecordAnswer) -> Reply {
        let found = self.turns.iter().position(|turn| turn.id == answer.turn);
        let Some(turn) = found.filter(|turn| self.turns[*turn].attempt == answer.attempt) else {
            self.changes.facts.push(Fact::Late { what: answer.turn.0 });
            return Reply::Idle;
        };
        let row = &self.turns[turn];
        match row.state {
            TurnState::Asking | TurnState::Reconciling => {
                let took = self.now - row.started_at;
                self.answer_turn(turn, &answer.replies, answer.watermark);
                let replies = answer.replies.len();
                self.changes.facts.push(Fact::Answered { turn: answer.turn, took, replies });
            }
            // The record was read while the agent was still answering, so the answer was incomplete.
            TurnState::Answered => self.complete_answer(turn, &answer.replies),
            _ => {
                self.changes.facts.push(Fact::Late { what: answer.turn.0 });
                return Reply::Idle;
            }
        }
        self.claim_next(answer.claim);
        Reply::Done
    }

    /// Marks the turn as answered and puts the replies into the outbox, or suppresses them if the agent may
    /// no longer speak.
    fn answer_turn(&mut self, turn: usize, replies: &[String], watermark: Option<String>) {
        let now = self.now;
        let row = &mut self.turns[turn];
        (row.state, row.worker) = (TurnState::Answered, None);
        (row.finished_at, row.latency_ms) = (Some(now), Some(now - row.started_at));
        (row.error_class, row.error) = (None, None);
        self.chat.agent_seq = self.chat.agent_seq.max(self.turns[turn].asked_seq);
        self.chat.recall = false;
        if watermark.is_some() {
            self.chat.agent_watermark = watermark;
        }
        let before = self.chat.last_seq;
        let composed = self.compose(replies);
        self.add_replies(turn, 0, &composed);
        if composed.bodies.is_empty() && !composed.ignored.is_empty() && composed.hand_over.is_none() {
            // All that the agent wanted cannot be done.
            self.fall_back(Some(turn));
        }
        self.follow_directives(turn, &composed, before);
        self.chat.turn.attempts = 0;
        self.finish_turn();
    }

    /// Puts the messages of an answer into the outbox, from this part on.
    fn add_replies(&mut self, turn: usize, from: usize, composed: &Composed) {
        let last = composed.bodies.len().saturating_sub(1);
        let mut at = self.now;
        for (part, body) in composed.bodies.iter().enumerate().skip(from) {
            let left_out = if part == last { composed.left_out } else { 0 };
            at += self.writing_time(body);
            self.add_reply(turn, part, (body.clone(), left_out), at);
        }
    }

    /// Does what an answer wants besides its messages, unless nobody waits for it any more. Its messages come after `before`.
    fn follow_directives(&mut self, turn: usize, composed: &Composed, before: i64) {
        for why in &composed.ignored {
            self.ignore(Author::Agent.as_str(), why);
        }
        if self.turns[turn].withdrawn.is_some() {
            return;
        }
        if composed.ends {
            (self.chat.agent_chat_id, self.chat.agent_watermark) = (None, None);
            (self.chat.agent_chat_status, self.chat.recall) = (AgentChatStatus::Ended, false);
        }
        if let Some(why) = &composed.hand_over {
            self.hand_over(Author::Agent.as_str(), why, before);
        }
    }

    /// For how long somebody would write this.
    fn writing_time(&self, body: &Body) -> Millis {
        let each = self.connection.settings.writing_ms_per_character.map_or(0, Millis::from);
        let characters = body.text.as_deref().map_or(0, |text| text.chars().count());
        (each * Millis::try_from(characters).unwrap_or(Millis::MAX / 1_000)).min(self.policy.writing_max)
    }

    /// Puts a message of an answer into the outbox, to be sent no earlier than `at`.
    fn add_reply(&mut self, turn: usize, part: usize, (body, left_out): (Body, usize), at: Millis) {
        let row = &self.turns[turn];
        let withdrawn = row.withdrawn.clone();
        let mut reply = Message::new(Direction::Outbound, Author::Agent, MessageStatus::Queued);
        reply.body = Tracked::loaded(body);
        if left_out > 0 {
            let note = serde_json::json!({ "truncated": true, "leftOutBytes": left_out }).to_string();
            reply.body.metadata = merged(reply.body.metadata.as_deref(), Some(&note));
        }
        (reply.turn_id, reply.part) = (Some(row.id), Some(i32::try_from(part).unwrap_or(i32::MAX)));
        (reply.at, reply.received_at, reply.trace) = (at, row.received_at, row.trace);
        if withdrawn.is_some() || !self.agent_speaks() {
            reply.status = MessageStatus::Suppressed;
            if withdrawn.as_deref() == Some(TAKEN_BACK) {
                // It may quote what was taken back.
                (reply.body.text, reply.body.payload) = (None, None);
            }
            reply.error.code = withdrawn.or_else(|| self.chat.mode_reason.clone());
        } else if self.chat.verify {
            // It may have been sent before the database was restored.
            (reply.status, reply.deadline) = (MessageStatus::Unknown, Some(self.now));
            reply.error = MessageError {
                class: Some(FailureClass::Ambiguous),
                code: Some(super::delivery::RESTORED.to_owned()),
                message: None,
            };
        }
        self.add_message(reply);
    }

    fn complete_answer(&mut self, turn: usize, replies: &[String]) {
        let id = self.turns[turn].id;
        if self.turns[turn].withdrawn.as_deref() == Some(TAKEN_BACK) {
            return;
        }
        let composed = self.compose(replies);
        let mut said: Vec<_> =
            self.live().filter(|message| message.turn_id == Some(id) && message.part >= Some(0)).collect();
        said.sort_by_key(|message| message.part);
        let from = said.len();
        // Quick replies may have come with a text that is stored without them.
        let is_prefix = from <= composed.bodies.len()
            && said.iter().zip(&composed.bodies).all(|(known, part)| known.body.text == part.text);
        // Nothing of the answer may be held back by what it wants besides.
        let before = said.first().map_or(self.chat.last_seq, |first| first.seq - 1);
        if is_prefix && (from < composed.bodies.len() || composed.hand_over.is_some() || composed.ends) {
            self.add_replies(turn, from, &composed);
            self.follow_directives(turn, &composed, before);
        }
    }

    pub(super) fn record_agent_failure(&mut self, command: &RecordAgentFailure) -> Reply {
        let Some(turn) = self.current_turn(command.turn, command.attempt) else {
            self.changes.facts.push(Fact::Late { what: command.turn.0 });
            return Reply::Idle;
        };
        let failure = &command.failure;
        match failure.class {
            FailureClass::Transient | FailureClass::Throttled | FailureClass::AgentRefused => {
                self.was_not_asked(turn, failure, self.agent_pause(failure));
                Reply::Retry(failure.class)
            }
            FailureClass::Ambiguous => {
                self.look_up_later(turn, failure);
                Reply::Retry(failure.class)
            }
            FailureClass::Gone if self.turns[turn].rollovers == 0 => {
                self.chat.agent_chat_id = None;
                self.chat.agent_watermark = None;
                (self.chat.agent_chat_status, self.chat.recall) = (AgentChatStatus::Ended, true);
                self.turns[turn].rollovers += 1;
                self.was_not_asked(turn, failure, 0);
                match &command.retry {
                    Some(start) => self.start_turn(start),
                    None => Reply::Retry(failure.class),
                }
            }
            class => {
                self.fail_turn(turn, TurnState::Failed, class, &failure.error);
                Reply::Dead(class)
            }
        }
    }

    /// The open turn, if this is its current attempt.
    fn current_turn(&self, id: TurnId, attempt: i32) -> Option<usize> {
        self.open_turn().filter(|turn| {
            let row = &self.turns[*turn];
            row.id == id && row.attempt == attempt && row.state != TurnState::Waiting
        })
    }

    /// Delay before the agent is asked again.
    fn agent_pause(&self, failure: &AgentFailure) -> Millis {
        match failure.class {
            FailureClass::Throttled => failure.retry_after.unwrap_or(THROTTLED_DELAY),
            FailureClass::AgentRefused => REFUSED_DELAY,
            _ => self.delay(retry::CALLS, self.chat.turn.attempts + 1),
        }
    }

    /// The agent certainly did not receive the question: asks again after `pause`, unless no one waits for
    /// the answer.
    fn was_not_asked(&mut self, turn: usize, failure: &AgentFailure, pause: Millis) {
        let row = &mut self.turns[turn];
        (row.state, row.worker) = (TurnState::Waiting, None);
        (row.error_class, row.error) = (Some(failure.class), Some(failure.error.clone()));
        if let Some(reason) = row.withdrawn.clone() {
            self.suppress_turn(turn, &reason);
            self.finish_turn();
            return;
        }
        self.retry_turn(pause);
    }

    /// Counts a failure and schedules the turn again after `pause`.
    fn retry_turn(&mut self, pause: Millis) {
        self.chat.turn.attempts = self.chat.turn.attempts.saturating_add(1);
        let due = self.now.saturating_add(pause);
        self.chat.turn.schedule(due);
        self.changes.effects.push(Effect::WakeTurn(duration(pause)));
    }

    /// The agent may have received the question: its record will show. An answered call is over; an
    /// unanswered one may still take effect until its deadline.
    fn look_up_later(&mut self, turn: usize, failure: &AgentFailure) {
        let settled = self.now + self.policy.reconcile_settle;
        let row = &mut self.turns[turn];
        (row.state, row.worker) = (TurnState::Reconciling, None);
        (row.error_class, row.error) = (Some(failure.class), Some(failure.error.clone()));
        let pause = if failure.answered {
            row.deadline = row.deadline.min(settled);
            self.policy.reconcile_settle
        } else {
            self.delay(retry::RECONCILE, 1)
        };
        self.retry_turn(pause);
    }

    /// Ends the turn permanently, with a dead letter.
    fn fail_turn(&mut self, turn: usize, state: TurnState, class: FailureClass, error: &str) {
        self.end_turn(turn, state, class, error);
        let (id, attempt) = (self.turns[turn].id, self.turns[turn].attempt);
        self.dead_letter((DeadLetterKind::Turn, id.0), class, error, attempt);
        self.fall_back(Some(turn));
        self.chat.turn.attempts = 0;
        self.finish_turn();
        if state == TurnState::Unknown {
            self.changes.facts.push(Fact::Reconciled { service: "agent", result: "unknown" });
        }
    }

    /// The agent failed permanently: sends the customer the fallback text, once per turn, if the agent may
    /// speak.
    fn fall_back(&mut self, turn: Option<usize>) {
        let text = self.connection.settings.fallback_text.as_deref().map_or("", str::trim).to_owned();
        let open = window::at(self.chat.window_expires_at, self.now) == Window::Open;
        let wanted = turn.is_none_or(|turn| self.turns[turn].withdrawn.is_none());
        if text.is_empty() || !open || !self.agent_speaks() || !wanted {
            return;
        }
        let mut message = Message::new(Direction::Outbound, Author::Agent, MessageStatus::Queued);
        message.body.text = Some(truncate(&text, MAX_BYTES).to_owned());
        (message.at, message.received_at, message.trace) = (self.now, self.now, self.chat.trace);
        if let Some(turn) = turn {
            let row = &self.turns[turn];
            (message.turn_id, message.part) = (Some(row.id), Some(FALLBACK_PART));
            (message.received_at, message.trace) = (row.received_at, row.trace);
        }
        self.add_message(message);
        self.continue_outbox();
    }

    /// No agent chat could be opened: the customer's messages stay unanswered until one can.
    pub(super) fn record_no_agent_chat(&mut self, failure: &AgentFailure) -> Reply {
        self.chat.opening_until = 0;
        let open = self.open_turn();
        let question = self.question(open);
        if question.is_empty() || open.is_some_and(|open| self.turns[open].state != TurnState::Waiting) {
            return Reply::Idle;
        }
        if !failure.class.is_final() {
            self.retry_turn(self.agent_pause(failure));
            return Reply::Retry(failure.class);
        }
        let (class, error) = (failure.class, failure.error.as_str());
        if let Some(open) = open {
            self.fail_turn(open, TurnState::Failed, class, error);
        } else {
            let first = question.first().map_or(self.chat.id.0, |id| id.0);
            self.dead_letter((DeadLetterKind::Message, first), class, error, self.chat.turn.attempts + 1);
            self.fall_back(None);
        }
        let message = Some(error.to_owned());
        self.drop_unanswered(&MessageError { class: Some(class), message, ..MessageError::default() });
        self.chat.turn.clear();
        Reply::Dead(class)
    }

    pub(super) fn resolve_turn(&mut self, resolve: ResolveTurn) -> Reply {
        let found = self.current_turn(resolve.turn, resolve.attempt);
        let Some(turn) = found.filter(|turn| self.turns[*turn].state == TurnState::Reconciling) else {
            return Reply::Idle;
        };
        // A read before the deadline shows nothing about the time until the deadline, however late it is
        // recorded.
        let over = resolve.settled;
        let record = match resolve.record {
            Ok(record) => record,
            Err(failure) => return self.record_unreadable(turn, &failure, over),
        };
        match record.evidence(&self.turns[turn]) {
            TurnEvidence::Answered { replies, watermark } => {
                let seen = digest(&replies);
                // Before the deadline the agent may still be answering: accept only what has not grown since
                // the last read.
                if !over && self.turns[turn].seen.as_ref() != Some(&seen) {
                    self.turns[turn].seen = Some(seen);
                    return self.look_again(turn, FailureClass::Ambiguous);
                }
                self.changes.facts.push(Fact::Reconciled { service: "agent", result: "happened" });
                let (id, took) = (self.turns[turn].id, self.now - self.turns[turn].started_at);
                self.changes.facts.push(Fact::Answered { turn: id, took, replies: replies.len() });
                self.answer_turn(turn, &replies, watermark);
                self.claim_next(resolve.claim);
                Reply::Done
            }
            TurnEvidence::NotAsked if over => {
                self.changes.facts.push(Fact::Reconciled { service: "agent", result: "did_not_happen" });
                self.chat.verify = false;
                let failure = not_asked();
                self.was_not_asked(turn, &failure, 0);
                Reply::Retry(failure.class)
            }
            evidence if over => self.record_inconclusive(turn, &evidence, &record),
            _ => self.look_again(turn, FailureClass::Ambiguous),
        }
    }

    fn look_again(&mut self, turn: usize, class: FailureClass) -> Reply {
        let pause = self.delay(retry::RECONCILE, self.chat.turn.attempts + 1);
        // Read again no later than at the deadline, after which absence is evidence too.
        let left = self.turns[turn].deadline - self.now;
        self.retry_turn(if left > 0 { pause.min(left) } else { pause });
        Reply::Retry(class)
    }

    /// The record is inconclusive after the deadline.
    fn record_inconclusive(&mut self, turn: usize, evidence: &TurnEvidence, record: &Record) -> Reply {
        self.turns[turn].lookups += 1;
        if self.turns[turn].lookups < self.policy.reconcile_attempts_max {
            return self.look_again(turn, FailureClass::Ambiguous);
        }
        let error = match evidence {
            TurnEvidence::Thinking => "the agent received the question and did not answer it",
            _ => "the agent's record does not show whether it was asked",
        };
        if let Some(last) = record.last_id() {
            // Whatever the last entry is, it is accounted for.
            self.chat.agent_watermark = Some(last);
        }
        self.fail_turn(turn, TurnState::Unknown, FailureClass::Ambiguous, error);
        Reply::Dead(FailureClass::Ambiguous)
    }

    /// The record cannot be read. An outage only costs time; a rejection counts as an inconclusive read.
    fn record_unreadable(&mut self, turn: usize, failure: &AgentFailure, over: bool) -> Reply {
        let refused = failure.class.is_final();
        let closed = window::at(self.chat.window_expires_at, self.now) != Window::Open;
        if over && (refused || closed) {
            self.turns[turn].lookups += 1;
            if closed || self.turns[turn].lookups >= self.policy.reconcile_attempts_max {
                self.fail_turn(turn, TurnState::Unknown, FailureClass::Ambiguous, &failure.error);
                return Reply::Dead(FailureClass::Ambiguous);
            }
        }
        let row: &mut Tracked<_> = &mut self.turns[turn];
        row.error = Some(failure.error.clone());
        self.retry_turn(self.agent_pause(failure));
        Reply::Retry(failure.class)
    }

    /// `claim` determines who sends next.
    pub(super) fn claim_send(&mut self, claim: Claim) -> Reply {
        self.claim_next(claim)
    }
}

fn not_asked() -> AgentFailure {
    AgentFailure {
        class: FailureClass::Ambiguous,
        answered: true,
        retry_after: None,
        error: "the agent was not asked".to_owned(),
    }
}
