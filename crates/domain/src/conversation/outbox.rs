//! The outbox: replies wait in the chat's order, and are sent one at a time.

use super::Conversation;
use super::command::{Claim, RecordSent};
use super::effect::{Effect, Fact, Reply, Send, SendLookup};
use super::rows::{Message, MessageError};
use crate::clock::{Millis, duration};
use crate::failure::FailureClass;
use crate::ids::WorkerId;
use crate::states::{ActivityKind, Author, ChatMode, DeadLetterKind, MessageStatus};
use crate::window::{self, Window};

/// Whether a queued message may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendDecision {
    /// Yes; `tagged` if only with the `HUMAN_AGENT` tag.
    Send {
        /// Whether the 24 hours are over, or will be before the call ends.
        tagged: bool,
    },
    /// Never: a human took over, or the question was unsent.
    Suppress,
    /// Not while the connection is unusable or the business has paused the agent.
    Wait,
    /// Never: Meta's window is closed.
    TooLate,
}

/// Whether a message may be sent now. The single place for this rule.
pub fn may_send(conversation: &Conversation, message: &Message) -> SendDecision {
    let (chat, connection) = (&conversation.chat, &conversation.connection);
    let agent = message.is_by_machine();
    // What the agent says before it hands the chat over is sent; what it said before is not.
    let is_silent = chat.mode != ChatMode::Bot && !chat.is_handed_over();
    if message.is_unsent() || (agent && (is_silent || chat.human_seq > message.seq)) {
        return SendDecision::Suppress;
    }
    if message.author == Author::Broadcast && conversation.spared(message.id).is_some() {
        return SendDecision::Suppress;
    }
    if !connection.is_connected() || (agent && connection.bot_paused) {
        return SendDecision::Wait;
    }
    let human_agent = connection.human_agent() && message.author == Author::Human;
    match window::at(chat.window_expires_at, conversation.now) {
        Window::Open => {
            let until = conversation.now + conversation.policy.graph_timeout;
            let closing = window::at(chat.window_expires_at, until) != Window::Open;
            SendDecision::Send { tagged: human_agent && closing }
        }
        Window::HumanAgent if human_agent => SendDecision::Send { tagged: true },
        Window::HumanAgent | Window::Closed => SendDecision::TooLate,
    }
}

impl Conversation {
    /// Begins the next step of the outbox: a send, or the reconciliation of one whose outcome is unknown. An
    /// unresolved send blocks the outbox, even if an older message is queued again.
    pub(super) fn claim_next(&mut self, claim: Claim) -> Reply {
        // A human's message is not held back by the agent's failures, but order within the chat is preserved.
        if self.live().any(|message| message.status == MessageStatus::Sending) {
            // Whoever is sending continues; if that worker dies, its message is orphaned and reconciled.
            self.chat.outbox.clear_due();
            return Reply::Idle;
        }
        let unresolved =
            self.live().filter(|message| message.is_unresolved()).min_by_key(|message| message.seq);
        if let Some(lookup) = unresolved.map(|message| lookup_of(message, self.now)) {
            return self.look_up_send(lookup, claim);
        }
        let worker = match claim {
            Claim::By(worker) => worker,
            Claim::NotBefore(at) => return self.hand_over_outbox(at.unwrap_or(self.now)),
        };
        let attempted = self.chat.outbox.due_at.is_some_and(|due| due > self.now);
        if attempted && self.chat.outbox.attempts > 0 {
            let due = self.chat.outbox.due_at.unwrap_or(self.now);
            self.changes.effects.push(Effect::WakeOutbox(duration(due - self.now)));
            return Reply::Idle;
        }
        self.send_next(worker)
    }

    fn send_next(&mut self, worker: WorkerId) -> Reply {
        let mut dead = None;
        let mut waits = false;
        for index in self.queued() {
            match may_send(self, &self.messages[index]) {
                SendDecision::Send { .. } if self.is_being_written(&self.messages[index]) => {
                    let at = self.messages[index].at;
                    self.chat.outbox.schedule(at);
                    self.changes.effects.push(Effect::WriteFor(duration(at - self.now)));
                    return dead.map_or(Reply::Idle, Reply::Dead);
                }
                SendDecision::Send { tagged } => {
                    self.begin_send(index, worker, tagged);
                    return Reply::Done;
                }
                SendDecision::Suppress => self.suppress_reply(index),
                // Human agents' messages overtake those of a paused agent.
                SendDecision::Wait => waits = true,
                SendDecision::TooLate => {
                    let error = MessageError {
                        class: Some(FailureClass::WindowClosed),
                        code: Some("window".to_owned()),
                        message: Some("the 24-hour window closed before it could be sent".to_owned()),
                    };
                    self.give_up(index, MessageStatus::Failed, error);
                    dead = Some(FailureClass::WindowClosed);
                }
            }
        }
        if waits {
            // Stays due: the poller picks it up once the connection or the agent is usable again.
            let now = self.now;
            self.chat.outbox.due_at.get_or_insert(now);
            self.chat.outbox.reserved_until = 0;
        } else {
            self.chat.outbox.clear();
        }
        dead.map_or(Reply::Idle, Reply::Dead)
    }

    /// Whether a reply of the agent waits as if somebody were writing it: not so long that the window closes meanwhile.
    fn is_being_written(&self, message: &Message) -> bool {
        let until = message.at + self.policy.graph_timeout;
        message.author == Author::Agent
            && message.attempt == 0
            && message.at > self.now
            && window::at(self.chat.window_expires_at, until) == Window::Open
    }

    /// The indexes of the queued messages, in the chat's order.
    fn queued(&self) -> Vec<usize> {
        let is_queued = |index: &usize| {
            let message = &self.messages[*index];
            message.is_live() && message.status == MessageStatus::Queued
        };
        let mut queued: Vec<usize> = (0..self.messages.len()).filter(is_queued).collect();
        queued.sort_by_key(|index| self.messages[*index].seq);
        queued
    }

    fn begin_send(&mut self, index: usize, worker: WorkerId, tagged: bool) {
        let deadline = self.now + self.policy.graph_timeout + self.policy.reconcile_grace;
        let now = self.now;
        let message = &mut self.messages[index];
        (message.status, message.worker) = (MessageStatus::Sending, Some(worker));
        message.attempt += 1;
        (message.started_at, message.deadline, message.lookups) = (Some(now), Some(deadline), 0);
        let send = Send { message: Message::clone(message), tagged };
        self.changes.effects.push(Effect::Send(Box::new(send)));
        self.chat.outbox.clear_due();
    }

    fn suppress_reply(&mut self, index: usize) {
        let spared = (self.messages[index].author == Author::Broadcast)
            .then(|| self.spared(self.messages[index].id))
            .flatten()
            .map(|why| why.as_str().to_owned());
        let reason = spared.or_else(|| self.chat.mode_reason.clone());
        let message = &mut self.messages[index];
        message.status = MessageStatus::Suppressed;
        message.error.code = reason.or_else(|| Some("person".to_owned()));
    }

    /// The caller cannot send: the outbox is due at `at`.
    fn hand_over_outbox(&mut self, at: i64) -> Reply {
        if self.queued().is_empty() {
            self.chat.outbox.clear();
            return Reply::Idle;
        }
        // A backoff is respected, whatever arrives meanwhile.
        let backoff = self.chat.outbox.due_at.filter(|_| self.chat.outbox.attempts > 0);
        let at = at.max(self.now).max(backoff.unwrap_or_default());
        self.chat.outbox.schedule(at);
        self.changes.effects.push(Effect::WakeOutbox(duration(at - self.now)));
        Reply::Done
    }

    fn look_up_send(&mut self, lookup: SendLookup, claim: Claim) -> Reply {
        if !self.connection.is_connected() {
            // Stays due: the poller picks it up once the connection is usable again.
            let now = self.now;
            self.chat.outbox.due_at.get_or_insert(now);
            self.chat.outbox.reserved_until = 0;
            return Reply::Idle;
        }
        let due = self.chat.outbox.due_at.unwrap_or(self.now);
        if due > self.now {
            self.changes.effects.push(Effect::WakeOutbox(duration(due - self.now)));
            return Reply::Idle;
        }
        if let Claim::NotBefore(at) = claim {
            let at = at.unwrap_or(self.now);
            self.chat.outbox.schedule(at);
            self.changes.effects.push(Effect::WakeOutbox(duration(at - self.now)));
            return Reply::Idle;
        }
        let now = self.now;
        self.chat.outbox.due_at = Some(now);
        self.chat.outbox.reserved_until = now + self.policy.reservation;
        self.changes.effects.push(Effect::LookUpSend(lookup));
        Reply::Done
    }

    /// If messages wait in the outbox and none is being sent, the outbox is due.
    pub(super) fn continue_outbox(&mut self) {
        let sending = self.live().any(|message| message.status == MessageStatus::Sending);
        let waits =
            self.live().any(|message| message.status == MessageStatus::Queued || message.is_unresolved());
        if sending {
            return;
        }
        if !waits {
            self.chat.outbox.clear();
            return;
        }
        let now = self.now;
        if self.chat.outbox.due_at.is_none_or(|due| due > now && self.chat.outbox.attempts == 0) {
            self.chat.outbox.schedule(now);
        }
        let due = self.chat.outbox.due_at.unwrap_or(now);
        self.changes.effects.push(Effect::WakeOutbox(duration(due - now)));
    }

    pub(super) fn record_sent(&mut self, sent: &RecordSent) -> Reply {
        let Some(message) = self.message(sent.message) else { return Reply::Idle };
        let (status, attempt) = (message.status, message.attempt);
        let same_mid = message.mid.as_deref() == Some(&sent.mid);
        let reply = match status {
            MessageStatus::Sending | MessageStatus::Unknown if attempt == sent.attempt => {
                self.mark_sent(sent.message, &sent.mid, false);
                Reply::Done
            }
            MessageStatus::Sent if same_mid => Reply::Done,
            // An echo with the same text was matched to our message; it was a human's.
            MessageStatus::Sent if attempt == sent.attempt => {
                self.disown_echo(sent.message, Some(&sent.mid));
                Reply::Done
            }
            _ => {
                self.changes.facts.push(Fact::Late { what: sent.message.0 });
                Reply::Idle
            }
        };
        self.chat.outbox.attempts = 0;
        self.claim_next(sent.claim);
        reply
    }

    /// A message will not be sent, or its outcome stays unknown; the later parts of the same answer are
    /// cancelled.
    pub(super) fn give_up(&mut self, index: usize, status: MessageStatus, error: MessageError) {
        let class = error.class.unwrap_or(FailureClass::Bug);
        let text = format!(
            "{}: {}",
            error.code.as_deref().unwrap_or_default(),
            error.message.as_deref().unwrap_or_default()
        );
        let message = &mut self.messages[index];
        (message.status, message.error) = (status, error);
        (message.deadline, message.worker) = (None, None);
        let (id, attempt, author) = (message.id, message.attempt, message.author);
        let (turn, part, direction) = (message.turn_id, message.part, message.direction);
        debug_assert_eq!(direction, crate::states::Direction::Outbound);
        if let (Some(turn), Some(part)) = (turn, part) {
            for later in
                self.live_mut().filter(|later| later.turn_id == Some(turn) && later.part > Some(part))
            {
                let not_begun = later.status == MessageStatus::Unknown && later.attempt == 0;
                if later.status == MessageStatus::Queued || not_begun {
                    later.status = MessageStatus::Cancelled;
                    later.deadline = None;
                }
            }
        }
        // Of a broadcast nobody waits for each message: what became of it stands with the broadcast.
        if author != Author::Broadcast {
            self.dead_letter((DeadLetterKind::Message, id.0), class, &text, attempt);
        }
        let failed = self.activity(ActivityKind::MessageFailed, "system", id);
        let failed = failed.with("class", class.as_str()).with("status", status.as_str());
        self.record(failed);
        // Whoever comes to a chat that was handed over sees that, too.
        if class == FailureClass::WindowClosed && author != Author::Broadcast && !self.chat.is_handed_over() {
            self.chat.flag = Some(class.to_string());
        }
        self.chat.outbox.attempts = 0;
        if status == MessageStatus::Unknown {
            self.changes.facts.push(Fact::Reconciled { service: "graph", result: "unknown" });
        }
        if author == Author::Agent {
            self.changes.facts.push(Fact::ReplyFailed(class));
        }
    }
}

fn lookup_of(message: &Message, now: Millis) -> SendLookup {
    let settled = message.deadline.is_some_and(|deadline| now >= deadline);
    SendLookup { message: message.id, attempt: message.attempt, settled, trace: message.trace }
}
