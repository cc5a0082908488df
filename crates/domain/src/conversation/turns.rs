//! Begins turns: whether one is due, what it asks, and storing it before it is asked.

use super::command::{AgentChat, StartTurn};
use super::effect::{Ask, Effect, Fact, Reply, TurnLookup};
use super::evidence::fingerprint;
use super::marks::TAKEN_BACK;
use super::rows::{Message, MessageError, Turn};
use super::takeover::{ModeReason, RUNAWAY};
use super::wording::{self, Note};
use super::{Conversation, Tracked};
use crate::clock::{Millis, duration};
use crate::failure::FailureClass;
use crate::ids::{MessageId, TurnId};
use crate::states::{ActivityKind, AgentChatStatus, ChatMode, DeadLetterKind, TurnState};
use crate::window::{self, Window};

/// Maximum number of messages per question.
pub const QUESTION_MESSAGES_MAX: usize = 50;

const HOUR: Millis = 3_600_000;

impl Conversation {
    /// Whether a due turn may begin, as far as this can be decided without the messages.
    pub(super) fn may_start(&self) -> bool {
        self.agent_speaks() && self.connection.is_connected() && !self.connection.bot_paused
    }

    pub(super) fn start_turn(&mut self, start: &StartTurn) -> Reply {
        // Another agent may have been given the account since it was opened.
        let with_agent =
            |opened: &AgentChat| opened.agent.as_ref().is_none_or(|agent| *agent == self.connection.agent);
        let is_new_chat =
            self.chat.agent_chat_id.is_none() && start.agent_chat.as_ref().is_some_and(with_agent);
        if start.agent_chat.is_some() && !is_new_chat && self.chat.agent_chat_id.is_none() {
            self.chat.opening_until = 0;
        }
        let is_ours = |opened: &AgentChat| self.chat.agent_chat_id.as_deref() == Some(opened.id.as_str());
        let unused = start.agent_chat.iter().filter(|opened| !is_new_chat && !is_ours(opened)).cloned();
        self.changes.unused_agent_chats.extend(unused);
        if let Some(opened) = start.agent_chat.as_ref().filter(|_| is_new_chat) {
            self.chat.agent_chat_id = Some(opened.id.clone());
            self.changes.opened_agent_chats.push(opened.clone());
            (self.chat.agent_watermark, self.chat.opening_until) = (None, 0);
            self.chat.agent_chat_status = AgentChatStatus::Ongoing;
        }
        let open = self.open_turn();
        if let Some(open) = open {
            match self.turns[open].state {
                // The commit that began it did not reach the worker, which has not asked yet.
                TurnState::Asking if self.turns[open].id == start.turn => {
                    let deadline = self.turns[open].deadline;
                    let begun_at = deadline - self.policy.agent_timeout - self.policy.reconcile_grace;
                    let now = self.now;
                    if now - begun_at < self.policy.agent_timeout / 2 {
                        // The call begins only now, and so does the period in which it may take effect.
                        self.turns[open].deadline =
                            now + self.policy.agent_timeout + self.policy.reconcile_grace;
                        return self.ask(open);
                    }
                    (self.turns[open].state, self.turns[open].worker) = (TurnState::Waiting, None);
                    self.chat.turn.schedule(now);
                }
                TurnState::Asking => return Reply::Idle,
                TurnState::Reconciling => return self.look_up_turn(open),
                _ => {}
            }
        }
        let Some(due) = self.chat.turn.due_at else { return Reply::Idle };
        if due > self.now {
            self.changes.effects.push(Effect::WakeTurn(duration(due - self.now)));
            return Reply::Idle;
        }
        self.chat.turn.reserved_until = 0;
        if !self.connection.is_connected() || (self.connection.bot_paused && self.agent_speaks()) {
            // Stays due: the poller picks it up once the connection is usable again.
            return Reply::Idle;
        }
        let question = self.question(open);
        if !self.agent_speaks() || question.is_empty() {
            return self.nothing_to_ask(open, question.is_empty());
        }
        if window::at(self.chat.window_expires_at, self.now) != Window::Open {
            return self.asked_too_late(open, &question);
        }
        if let Some(until) = self.words_awaited_until(&question).filter(|_| open.is_none()) {
            self.chat.turn.schedule(until);
            self.changes.effects.push(Effect::WakeTurn(duration(until - self.now)));
            return Reply::Idle;
        }
        if open.is_none() && self.is_runaway() {
            return self.pause_runaway();
        }
        if self.chat.verify && self.chat.agent_chat_id.is_some() && !is_new_chat {
            return self.verify_first(start, &question);
        }
        // A turn that has begun is counted: it goes on.
        if let Some(at) = start.not_before.filter(|_| open.is_none()) {
            // Stays due.
            self.chat.turn.reserved_until = at;
            return Reply::Idle;
        }
        if self.chat.agent_chat_id.is_none() {
            return self.open_agent_chat();
        }
        let turn = self.write_turn(start, open, &question);
        self.ask(turn)
    }

    /// One opens the agent chat, and goes on with the turn; who comes meanwhile leaves it to them.
    fn open_agent_chat(&mut self) -> Reply {
        if self.chat.opening_until > self.now {
            self.chat.turn.reserved_until = self.chat.opening_until;
            return Reply::Idle;
        }
        self.chat.opening_until = self.now + self.policy.reservation;
        self.chat.turn.reserved_until = self.chat.opening_until;
        self.changes.effects.push(Effect::OpenAgentChat);
        Reply::Done
    }

    /// The messages of the next question: those of the turn waiting to be asked again, and the new ones.
    /// Oldest first.
    pub(super) fn question(&self, waiting: Option<usize>) -> Vec<MessageId> {
        let waiting = waiting.map(|turn| self.turns[turn].id);
        let asks = |id: Option<TurnId>| id.is_none() || id == waiting;
        let mut messages: Vec<_> = self
            .live()
            .filter(|message| message.needs_answer && message.part.is_none() && asks(message.turn_id))
            .filter(|message| !message.is_unsent())
            .collect();
        messages.sort_by_key(|message| (message.turn_id.is_none(), message.at, message.seq));
        messages.truncate(QUESTION_MESSAGES_MAX);
        messages.sort_by_key(|message| (message.at, message.seq));
        messages.iter().map(|message| message.id).collect()
    }

    fn nothing_to_ask(&mut self, open: Option<usize>, nothing_waits: bool) -> Reply {
        if let Some(open) = open {
            let reason = if nothing_waits { TAKEN_BACK.to_owned() } else { self.mode_reason() };
            self.suppress_turn(open, &reason);
        }
        self.chat.turn.clear();
        if nothing_waits {
            self.chat.first_unanswered_at = None;
        }
        Reply::Idle
    }

    fn mode_reason(&self) -> String {
        self.chat.mode_reason.clone().unwrap_or_else(|| ModeReason::Human.to_string())
    }

    /// Meta's window closed before the question could be asked: a reply could not be sent.
    fn asked_too_late(&mut self, open: Option<usize>, question: &[MessageId]) -> Reply {
        const ERROR: &str = "the 24-hour window closed before the agent could be asked";
        let class = FailureClass::WindowClosed;
        let subject = match open {
            Some(open) => {
                self.end_turn(open, TurnState::Failed, class, ERROR);
                (DeadLetterKind::Turn, self.turns[open].id.0)
            }
            None => (DeadLetterKind::Message, question.first().map_or(self.chat.id.0, |id| id.0)),
        };
        self.dead_letter(subject, class, ERROR, self.chat.turn.attempts);
        self.drop_unanswered(&MessageError { class: Some(class), ..MessageError::default() });
        self.chat.flag = Some(class.to_string());
        self.chat.turn.clear();
        Reply::Dead(class)
    }

    fn is_runaway(&mut self) -> bool {
        if self.now - self.chat.hour_started_at >= HOUR {
            self.chat.hour_started_at = self.now;
            self.chat.hour_turns = 0;
        }
        self.chat.hour_turns >= self.policy.turns_per_hour_max
    }

    /// A loop between two bots: the chat is paused for an hour, and flagged for a human.
    fn pause_runaway(&mut self) -> Reply {
        let reason = ModeReason::Runaway.to_string();
        self.chat.mode = ChatMode::Paused;
        self.chat.mode_reason = Some(reason.clone());
        self.chat.resume_at = Some(self.now + HOUR);
        self.chat.flag = Some(RUNAWAY.to_owned());
        self.chat.turn.clear();
        let paused = self.activity(ActivityKind::BotPaused, "system", self.chat.id).with("reason", reason);
        self.record(paused);
        self.changes.facts.push(Fact::Runaway);
        Reply::Idle
    }

    /// Stores the question before it is asked. Its messages now belong to the turn.
    fn write_turn(&mut self, start: &StartTurn, open: Option<usize>, question: &[MessageId]) -> usize {
        let text = self.text_of(question);
        let turn = match open {
            Some(open) => {
                self.turns[open].attempt += 1;
                open
            }
            None => self.add_turn(start.turn, question),
        };
        let (deadline, chat) =
            (self.now + self.policy.agent_timeout + self.policy.reconcile_grace, &self.chat);
        let (agent_chat, watermark) = (chat.agent_chat_id.clone(), chat.agent_watermark.clone());
        let asked_seq =
            self.live().filter(|message| question.contains(&message.id)).map(|message| message.seq).max();
        let row = &mut self.turns[turn];
        row.message_ids = question.to_vec();
        row.asked_seq = asked_seq.unwrap_or_default();
        row.asked_hash = fingerprint(&text).to_vec();
        (row.agent_chat_id, row.watermark) = (agent_chat, watermark);
        (row.state, row.worker, row.deadline) = (TurnState::Asking, Some(start.worker), deadline);
        (row.lookups, row.seen) = (0, None);
        let id = row.id;
        for message in self.live_mut().filter(|message| question.contains(&message.id)) {
            message.turn_id = Some(id);
        }
        // A question has a maximum number of messages; the rest goes into the next one.
        let more = self.unanswered().next().is_some();
        self.chat.first_unanswered_at = more.then_some(self.now);
        self.chat.turn.due_at = None;
        self.chat.turn.reserved_until = 0;
        turn
    }

    fn add_turn(&mut self, id: TurnId, question: &[MessageId]) -> usize {
        let (mut received_at, mut written_at) = (None, self.now);
        for message in self.live().filter(|message| question.contains(&message.id)) {
            let known = received_at.unwrap_or(message.received_at);
            received_at = Some(known.min(message.received_at));
            written_at = written_at.min(message.at);
        }
        let received_at = received_at.unwrap_or(self.now);
        let first = self.chat.first_unanswered_at.unwrap_or(self.now);
        // Pauses and fair-share limits also move a turn's due time: only this part is the debounce.
        let debounce = (self.chat.turn.due_at.unwrap_or(first) - first).clamp(0, 4 * self.policy.debounce);
        self.changes.facts.push(Fact::Asked { debounce, wait: self.now - first - debounce });
        self.chat.hour_turns += 1;
        self.turns.push(Tracked::inserted(Turn {
            id,
            message_ids: question.to_vec(),
            asked_seq: 0,
            asked_hash: Vec::new(),
            watermark: None,
            agent_chat_id: None,
            rollovers: 0,
            state: TurnState::Asking,
            attempt: 1,
            worker: None,
            deadline: 0,
            lookups: 0,
            seen: None,
            withdrawn: None,
            written_at,
            received_at,
            started_at: self.now,
            finished_at: None,
            latency_ms: None,
            error_class: None,
            error: None,
            trace: self.chat.trace,
        }));
        self.turns.len() - 1
    }

    /// After a restore, the question may have been asked already: the agent's record is read first.
    fn verify_first(&mut self, start: &StartTurn, question: &[MessageId]) -> Reply {
        let turn = self.write_turn(start, None, question);
        let now = self.now;
        let row = &mut self.turns[turn];
        (row.state, row.worker, row.deadline) = (TurnState::Reconciling, None, now);
        row.error_class = Some(FailureClass::Ambiguous);
        row.error = Some("the database was restored from a backup".to_owned());
        self.chat.turn.schedule(now);
        self.look_up_turn(turn)
    }

    fn ask(&mut self, turn: usize) -> Reply {
        let row = &self.turns[turn];
        let (ids, agent_chat) = (row.message_ids.clone(), row.agent_chat_id.clone().unwrap_or_default());
        let (turn, attempt, rollovers, trace) = (row.id, row.attempt, row.rollovers, row.trace);
        let text = self.text_of(&ids);
        // What it quotes may have changed since the turn was written.
        let hash = fingerprint(&text).to_vec();
        if let Some(row) = self.turn(turn).filter(|row| row.asked_hash != hash) {
            row.asked_hash = hash;
        }
        self.changes.effects.push(Effect::Ask(Ask { turn, attempt, agent_chat, text, rollovers, trace }));
        Reply::Done
    }

    /// The text of a question: a note about what the agent missed, and the messages, one per line.
    fn text_of(&self, question: &[MessageId]) -> String {
        let asked = |id: &MessageId| self.live().find(|message| message.id == *id);
        let messages: Vec<_> = question.iter().filter_map(asked).map(|message| &**message).collect();
        let mut unseen: Vec<_> = self.live().map(|message| &**message).collect();
        // What came after the question is in the next one, however often this one is put together.
        let last = messages.iter().map(|message| message.seq).max().unwrap_or_default();
        let is_earlier = |message: &Message| {
            message.was_said()
                && message.seq < last
                && !message.is_unanswered()
                && !question.contains(&message.id)
        };
        unseen.retain(|message| (self.chat.recall && is_earlier(message)) || self.is_news_to_agent(message));
        unseen.sort_by_key(|message| message.seq);
        let note = if self.chat.recall { Note::Earlier(self.policy.history_max) } else { Note::Colleague };
        let is_unseen_note =
            |note: &Message| note.is_arrival() && (self.chat.agent_seq..last).contains(&note.seq);
        let mut notes: Vec<_> =
            self.live().map(|message| &**message).filter(|one| is_unseen_note(one)).collect();
        notes.sort_by_key(|note| note.seq);
        wording::question(note, &unseen, &notes, &messages, |mid| self.message_by_mid(mid).map(|one| &**one))
    }

    /// Reconciles a question whose outcome is unknown from the agent's record.
    fn look_up_turn(&mut self, turn: usize) -> Reply {
        if let Some(due) = self.chat.turn.due_at.filter(|due| *due > self.now) {
            self.changes.effects.push(Effect::WakeTurn(duration(due - self.now)));
            return Reply::Idle;
        }
        self.chat.turn.reserved_until = self.now + self.policy.reservation;
        let row = &self.turns[turn];
        let lookup = TurnLookup {
            turn: row.id,
            attempt: row.attempt,
            agent_chat: row.agent_chat_id.clone(),
            settled: self.now >= row.deadline,
            trace: row.trace,
        };
        self.changes.effects.push(Effect::LookUpTurn(lookup));
        Reply::Done
    }

    /// Ends a turn without an answer.
    pub(super) fn end_turn(&mut self, turn: usize, state: TurnState, class: FailureClass, error: &str) {
        let now = self.now;
        let row = &mut self.turns[turn];
        (row.state, row.finished_at, row.worker) = (state, Some(now), None);
        (row.error_class, row.error) = (Some(class), Some(error.to_owned()));
        if state == TurnState::Unknown {
            let seq = row.asked_seq;
            self.chat.agent_seq = self.chat.agent_seq.max(seq);
        }
    }

    /// The turn is over: another one is due only if messages arrived meanwhile.
    pub(super) fn finish_turn(&mut self) {
        self.chat.turn.clear();
        self.chat.verify = false;
        if let Some(first) = self.chat.first_unanswered_at.filter(|_| self.agent_speaks()) {
            let debounce = self.connection.settings.debounce_ms.map_or(self.policy.debounce, Millis::from);
            self.chat.turn.schedule((first + debounce).max(self.now));
        }
        self.schedule_turn();
    }
}
