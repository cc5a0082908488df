//! Records the outcome of sends that were not simply accepted.

use super::Conversation;
use super::command::{Orphan, RecordSendFailure, ResolveSend, SendFailure};
use super::effect::{Effect, Fact, Reply};
use super::evidence::SendEvidence;
use super::rows::MessageError;
use crate::clock::{Millis, duration};
use crate::failure::FailureClass;
use crate::ids::MessageId;
use crate::retry;
use crate::states::{Direction, MessageStatus, TurnState};
use crate::window::{self, Window};

/// Error code of a message that may have been sent before the database was restored.
pub(super) const RESTORED: &str = "restored";

/// Pause of an account after throttling without a given delay.
const THROTTLED_DELAY: Millis = 60_000;
/// Pause after its conversation was read too often.
const READ_THROTTLED_DELAY: Millis = 10_000;
/// Pause after a token was rejected, in case its connection is not parked meanwhile.
const PARKED_DELAY: Millis = 1_000;
/// Pause of a message when the account or the app is restricted.
const RESTRICTED_DELAY: Millis = 300_000;
/// Pause after a bare code 100, which may concern the whole app.
const BARE_100_DELAY: Millis = 30_000;

impl Conversation {
    pub(super) fn record_send_failure(&mut self, command: &RecordSendFailure) -> Reply {
        let index = self.position(command.message);
        let Some(index) = index.filter(|index| self.messages[*index].attempt == command.attempt) else {
            self.changes.facts.push(Fact::Late { what: command.message.0 });
            return Reply::Idle;
        };
        let failure = &command.failure;
        match self.messages[index].status {
            MessageStatus::Sending | MessageStatus::Unknown => {}
            // The echo matched to this message was a human's: this message was certainly not sent.
            MessageStatus::Sent if failure.class != FailureClass::Ambiguous => {
                self.messages[index].status = MessageStatus::Sending;
                self.disown_echo(command.message, None);
            }
            _ => return Reply::Idle,
        }
        let class = failure.class;
        let reply = match class {
            FailureClass::Transient => self.requeue_after_failure(index, failure),
            FailureClass::Ambiguous => self.look_up_send_later(index, failure),
            FailureClass::Throttled => {
                self.requeue_for(index, failure, failure.retry_after.unwrap_or(THROTTLED_DELAY))
            }
            FailureClass::Reauth => self.requeue_for(index, failure, PARKED_DELAY),
            FailureClass::Restricted => self.restricted(index, failure, command.host_succeeded_at),
            FailureClass::WindowClosed | FailureClass::Gone | FailureClass::Invalid => {
                self.give_up(index, MessageStatus::Failed, error_of(failure, class));
                Reply::Dead(class)
            }
            FailureClass::AgentRefused | FailureClass::Bug => {
                self.give_up(index, MessageStatus::Failed, error_of(failure, FailureClass::Bug));
                Reply::Dead(FailureClass::Bug)
            }
        };
        if matches!(reply, Reply::Dead(_)) {
            self.claim_next(command.claim);
        }
        reply
    }

    fn position(&self, id: MessageId) -> Option<usize> {
        self.messages.iter().position(|message| message.is_live() && message.id == id)
    }

    fn requeue_after_failure(&mut self, index: usize, failure: &SendFailure) -> Reply {
        let pause = self.delay(retry::CALLS, self.chat.outbox.attempts + 1);
        self.chat.outbox.attempts = self.chat.outbox.attempts.saturating_add(1);
        self.requeue_for(index, failure, pause)
    }

    /// Requeues a message whose send certainly had no effect. Whether it may still be sent is decided when
    /// its turn comes.
    fn requeue_for(&mut self, index: usize, failure: &SendFailure, pause: Millis) -> Reply {
        self.requeue(index, error_of(failure, failure.class));
        let due = self.now.saturating_add(pause);
        self.chat.outbox.schedule(due);
        self.changes.effects.push(Effect::WakeOutbox(duration(pause)));
        Reply::Retry(failure.class)
    }

    fn requeue(&mut self, index: usize, error: MessageError) {
        let message = &mut self.messages[index];
        (message.status, message.error) = (MessageStatus::Queued, error);
        (message.deadline, message.worker) = (None, None);
    }

    /// It is unknown whether the message was sent. An answered call is over; an unanswered one may still take
    /// effect until its deadline.
    fn look_up_send_later(&mut self, index: usize, failure: &SendFailure) -> Reply {
        let settled = self.now + self.policy.reconcile_settle;
        let message = &mut self.messages[index];
        (message.status, message.worker) = (MessageStatus::Unknown, None);
        message.error = error_of(failure, failure.class);
        let deadline = message.deadline.unwrap_or(settled);
        message.deadline = Some(if failure.answered { deadline.min(settled) } else { deadline });
        let pause =
            if failure.answered { self.policy.reconcile_settle } else { self.delay(retry::RECONCILE, 1) };
        self.retry_outbox(pause, failure.class)
    }

    fn retry_outbox(&mut self, pause: Millis, class: FailureClass) -> Reply {
        self.chat.outbox.attempts = self.chat.outbox.attempts.saturating_add(1);
        let due = self.now.saturating_add(pause);
        self.chat.outbox.schedule(due);
        self.changes.effects.push(Effect::WakeOutbox(duration(pause)));
        Reply::Retry(class)
    }

    /// The account or the app is restricted. A bare 100 is held until another send through the host shows
    /// that this message caused it, or many of them open the host's circuit breaker.
    fn restricted(
        &mut self,
        index: usize,
        failure: &SendFailure,
        host_succeeded_at: Option<Millis>,
    ) -> Reply {
        if !failure.bare_100 {
            return self.requeue_for(index, failure, RESTRICTED_DELAY);
        }
        let message = &self.messages[index];
        // `requeue` left the previous code.
        let again = message.error.code.as_deref() == Some(&failure.code);
        if again && host_succeeded_at.is_some_and(|at| at > message.created_at) {
            self.give_up(index, MessageStatus::Failed, error_of(failure, FailureClass::Invalid));
            return Reply::Dead(FailureClass::Invalid);
        }
        self.requeue_for(index, failure, BARE_100_DELAY)
    }

    pub(super) fn resolve_send(&mut self, resolve: ResolveSend) -> Reply {
        let index = self.position(resolve.message);
        let current = |index: &usize| {
            let message = &self.messages[*index];
            message.attempt == resolve.attempt
                && message.status == MessageStatus::Unknown
                && message.is_unresolved()
        };
        let Some(index) = index.filter(current) else { return self.claim_next(resolve.claim) };
        // A read before the deadline shows nothing about the time until the deadline, however late it is
        // recorded.
        let over = resolve.settled;
        let evidence = match resolve.thread {
            Ok(thread) => self.evidence_of_send(&self.messages[index], &thread),
            Err(failure) => return self.thread_unreadable(index, &failure, over),
        };
        let reply = match evidence {
            SendEvidence::Happened(mid) => {
                self.changes.facts.push(Fact::Reconciled { service: "graph", result: "happened" });
                self.mark_sent(resolve.message, &mid, false);
                Reply::Done
            }
            SendEvidence::DidNotHappen if over => self.did_not_happen(index, resolve.host_succeeded_at),
            SendEvidence::Unclear if over => {
                self.messages[index].lookups += 1;
                if self.messages[index].lookups < self.policy.reconcile_attempts_max {
                    return self.look_at_thread_again(index);
                }
                self.give_up_unknown(index, "unknown", "the conversation does not show whether it was sent")
            }
            _ => return self.look_at_thread_again(index),
        };
        self.chat.outbox.clear_due();
        self.claim_next(resolve.claim);
        reply
    }

    fn look_at_thread_again(&mut self, index: usize) -> Reply {
        let pause = self.delay(retry::RECONCILE, self.chat.outbox.attempts + 1);
        let left = self.messages[index].deadline.unwrap_or(self.now) - self.now;
        self.retry_outbox(if left > 0 { pause.min(left) } else { pause }, FailureClass::Ambiguous)
    }

    fn give_up_unknown(&mut self, index: usize, code: &str, why: &str) -> Reply {
        let class = FailureClass::Ambiguous;
        let error =
            MessageError { class: Some(class), code: Some(code.to_owned()), message: Some(why.to_owned()) };
        self.give_up(index, MessageStatus::Unknown, error);
        Reply::Dead(class)
    }

    fn did_not_happen(&mut self, index: usize, host_succeeded_at: Option<Millis>) -> Reply {
        self.changes.facts.push(Fact::Reconciled { service: "graph", result: "did_not_happen" });
        let message = &self.messages[index];
        let code = message.error.code.clone().unwrap_or_default();
        // Graph also calls it temporary if the user has blocked the account (code 2): retry only a few times, once
        // other sends have shown that the service is up.
        let is_temporary = code.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let works = host_succeeded_at.is_some_and(|at| at > message.created_at);
        if is_temporary && works && message.attempt >= self.policy.code_2_attempts_max {
            let why = "repeatedly rejected as temporarily unavailable while other sends succeed";
            let class = Some(FailureClass::Gone);
            self.give_up(
                index,
                MessageStatus::Failed,
                MessageError { class, code: Some(code), message: Some(why.to_owned()) },
            );
            return Reply::Dead(FailureClass::Gone);
        }
        let class = Some(FailureClass::Ambiguous);
        self.requeue(
            index,
            MessageError { class, code: Some(code), message: Some("it was not sent".to_owned()) },
        );
        Reply::Done
    }

    /// Meta's list cannot be read. An outage only costs time; a rejection counts as an inconclusive read.
    fn thread_unreadable(&mut self, index: usize, failure: &SendFailure, over: bool) -> Reply {
        match failure.class {
            FailureClass::Throttled => {
                self.retry_outbox(failure.retry_after.unwrap_or(READ_THROTTLED_DELAY), failure.class)
            }
            FailureClass::Reauth => self.retry_outbox(PARKED_DELAY, failure.class),
            class => {
                let refused = class.is_final() || class == FailureClass::Restricted;
                let closed = window::at(self.chat.window_expires_at, self.now) != Window::Open;
                if over && (refused || closed) {
                    self.messages[index].lookups += 1;
                    if closed || self.messages[index].lookups >= self.policy.reconcile_attempts_max {
                        let why = "cannot read the conversation to check whether it was sent";
                        let reply = self.give_up_unknown(index, &failure.code, why);
                        self.continue_outbox();
                        return reply;
                    }
                }
                let pause = self.delay(retry::CALLS, self.chat.outbox.attempts + 1);
                self.retry_outbox(pause, class)
            }
        }
    }

    /// Reconciles a call whose outcome no one will report.
    pub(super) fn orphan(&mut self, orphan: Orphan) -> Reply {
        let now = self.now;
        match orphan {
            Orphan::Turn(id, attempt) => {
                let open = self.open_turn().filter(|open| {
                    let turn = &self.turns[*open];
                    turn.id == id && turn.attempt == attempt && turn.state == TurnState::Asking
                });
                let Some(open) = open else { return Reply::Idle };
                let turn = &mut self.turns[open];
                (turn.state, turn.worker) = (TurnState::Reconciling, None);
                turn.error_class = Some(FailureClass::Ambiguous);
                turn.error = Some("the worker that asked has died".to_owned());
                self.chat.turn.schedule(now);
                self.changes.effects.push(Effect::WakeTurn(duration(0)));
            }
            Orphan::Send(id, attempt) => {
                let Some(index) = self.position(id) else { return Reply::Idle };
                let message = &mut self.messages[index];
                if message.status != MessageStatus::Sending || message.attempt != attempt {
                    return Reply::Idle;
                }
                (message.status, message.worker) = (MessageStatus::Unknown, None);
                message.error = MessageError {
                    class: Some(FailureClass::Ambiguous),
                    code: None,
                    message: Some("the worker that was sending has died".to_owned()),
                };
                self.chat.outbox.schedule(now);
                self.changes.effects.push(Effect::WakeOutbox(duration(0)));
            }
        }
        self.changes.facts.push(Fact::Rescued);
        Reply::Done
    }

    /// After a restore from a backup: whatever was waiting may have happened since, so it is reconciled
    /// first.
    pub(super) fn distrust(&mut self) -> Reply {
        let now = self.now;
        let mut found = false;
        for message in self.live_mut() {
            if message.status == MessageStatus::Queued && message.direction == Direction::Outbound {
                found = true;
                (message.status, message.deadline) = (MessageStatus::Unknown, Some(now));
                message.error = MessageError {
                    class: Some(FailureClass::Ambiguous),
                    code: Some(RESTORED.to_owned()),
                    message: Some("the database was restored from a backup".to_owned()),
                };
            }
        }
        if let Some(open) = self.open_turn().filter(|open| self.is_waiting(*open)) {
            found = true;
            let turn = &mut self.turns[open];
            (turn.state, turn.deadline) = (TurnState::Reconciling, now);
            turn.error_class = Some(FailureClass::Ambiguous);
            turn.error = Some("the database was restored from a backup".to_owned());
        }
        // Messages not asked about then may have been asked since.
        self.chat.verify = true;
        (self.chat.turn.reserved_until, self.chat.outbox.reserved_until) = (0, 0);
        if found { Reply::Done } else { Reply::Idle }
    }
}

fn error_of(failure: &SendFailure, class: FailureClass) -> MessageError {
    MessageError {
        class: Some(class),
        code: Some(failure.code.clone()),
        message: Some(failure.error.clone()),
    }
}
