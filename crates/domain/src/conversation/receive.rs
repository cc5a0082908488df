//! Ingests Meta's events.

use super::command::{Receive, Received};
use super::effect::{Effect, Fact, Reply};
use super::rows::{Message, UNSENT};
use super::{Conversation, Tracked};
use crate::clock::{Millis, duration};
use crate::event::{Container, Content, Inbound, Postback, Referral};
use crate::failure::FailureClass;
use crate::states::{ActivityKind, Author, ChatMode, Direction, EventState, MessageStatus};
use crate::{message, window};
use serde::Serialize;

impl Conversation {
    pub(super) fn receive(&mut self, receive: Receive) -> Reply {
        if receive.events.is_empty() {
            return Reply::Idle;
        }
        for event in receive.events {
            self.take_in(&event);
            self.changes.events.push((event.id, EventState::Processed));
            self.changes.facts.push(Fact::Ingested);
        }
        let due = self.chat.turn.due_at;
        match (due, &receive.start) {
            (Some(due), Some(start)) if due <= self.now => return self.start_turn(start),
            (Some(due), _) if due > self.now && receive.timer && self.may_start() => {
                self.chat.turn.reserved_until = due + self.policy.reservation;
                self.changes.effects.push(Effect::WakeTurn(duration(due - self.now)));
            }
            (Some(_), _) => self.changes.effects.push(Effect::WakeTurn(duration(0))),
            (None, _) => {}
        }
        if let Some(due) = self.chat.outbox.due_at {
            self.changes.effects.push(Effect::WakeOutbox(duration(due - self.now)));
        }
        Reply::Done
    }

    fn take_in(&mut self, event: &Received) {
        if event.item.content.opens_window() {
            let expires = window::expires(event.at, self.now);
            let end = self.chat.window_expires_at.map_or(expires, |end| end.max(expires));
            if self.chat.window_expires_at != Some(end) {
                self.chat.window_expires_at = Some(end);
            }
            if self.chat.flag.as_deref() == Some(FailureClass::WindowClosed.as_str()) && end > self.now {
                self.chat.flag = None;
            }
        }
        match &event.item.content {
            Content::Message(message) => {
                let mut new = described(event, message);
                new.needs_answer = is_ours(event) && message::asks(message);
                self.add_from_customer(event, new);
            }
            Content::Unsupported { mid } => {
                let mut new = received(event);
                new.mid = Some(mid.clone());
                "unsupported".clone_into(&mut new.body.kind);
                self.add_from_customer(event, new);
            }
            Content::Postback(postback) => self.add_from_customer(event, of_postback(event, postback)),
            Content::Referral(referral) => self.note(event, "referral", Some(referral)),
            Content::Handover => self.note(event, "handover", None),
            Content::Echo(message) => self.echo(event, message),
            Content::Unsend { mid } => self.unsend(event, mid),
            Content::Edit(edit) => self.edit(event, edit),
            Content::Reaction(reaction) => self.reaction(event, reaction),
            Content::Read { mid } => self.read(event, mid.as_deref()),
            Content::Comment(_) | Content::Mention | Content::Ignored | Content::Unknown => {}
        }
    }

    /// Stores an event that is not a message.
    fn note(&mut self, event: &Received, kind: &str, referral: Option<&Referral>) {
        let mut new = received(event);
        new.author = Author::System;
        kind.clone_into(&mut new.body.kind);
        new.body.metadata = referral.map(referral_json);
        self.add_message(new);
    }

    /// Stores a customer's message, and schedules an answer if it needs one.
    fn add_from_customer(&mut self, event: &Received, new: Message) {
        let (needs_answer, kind) = (new.needs_answer, new.body.kind.clone());
        let Some(id) = self.add_received(new) else { return };
        if needs_answer {
            if self.chat.first_unanswered_at.is_none() {
                self.chat.trace = event.trace;
            }
            self.await_answer(self.debounce());
            self.changes.facts.push(Fact::Received {
                inbox: event.stored_at - event.arrived_at,
                pickup: self.now - event.stored_at,
            });
        }
        let activity = self.activity(ActivityKind::MessageReceived, "user", id).with("kind", kind);
        self.record(activity);
    }

    /// Adds a received message, or fills the stub waiting for it. `None` if it already exists, or was unsent
    /// before it arrived.
    pub(super) fn add_received(&mut self, new: Message) -> Option<crate::ids::MessageId> {
        let mid = new.mid.clone();
        let known = mid.and_then(|mid| self.live_mut().find(|known| known.mid.as_deref() == Some(&mid)));
        match known {
            None => Some(self.add_message(new)),
            Some(stub) if stub.is_stub() => fill(stub, &new),
            Some(_) => None,
        }
    }

    fn debounce(&self) -> Millis {
        self.connection.settings.debounce_ms.map_or(self.policy.debounce, Millis::from)
    }

    /// A message for the agent arrived: the turn is due once the customer has been silent for `debounce`, at
    /// the latest four times that after the first unanswered message.
    pub(super) fn await_answer(&mut self, debounce: Millis) {
        let now = self.now;
        let first = *self.chat.first_unanswered_at.get_or_insert(now);
        // An open turn starts the next one when it ends.
        if self.chat.mode != ChatMode::Bot || self.open_turn().is_some_and(|open| !self.is_waiting(open)) {
            return;
        }
        let due = (now + debounce).min(first + 4 * debounce);
        // After a failure the turn's backoff is respected, whatever arrives meanwhile.
        let due = match self.chat.turn.due_at {
            Some(backoff) if self.chat.turn.attempts > 0 => backoff.max(due),
            _ => due,
        };
        self.chat.turn.due_at = Some(due);
    }
}

/// Fills a stub with its message. Marks that arrived before the message stay: a newer text, or that it was
/// unsent.
fn fill(stub: &mut Tracked<Message>, new: &Message) -> Option<crate::ids::MessageId> {
    let taken_back = stub.status == MessageStatus::Suppressed;
    let edited = stub.body.text.is_some();
    if taken_back {
        UNSENT.clone_into(&mut stub.body.kind);
    } else {
        stub.body.kind.clone_from(&new.body.kind);
        stub.body.attachments.clone_from(&new.body.attachments);
        stub.body.reply_to.clone_from(&new.body.reply_to);
        if !edited {
            stub.body.text.clone_from(&new.body.text);
        }
    }
    stub.needs_answer = new.needs_answer && !taken_back;
    (stub.direction, stub.author, stub.status) = (new.direction, new.author, new.status);
    (stub.at, stub.received_at, stub.trace) = (new.at, new.received_at, new.trace);
    (!taken_back).then_some(stub.id)
}

/// The message of an event, from the customer unless changed.
pub(super) fn received(event: &Received) -> Message {
    let mut new = Message::new(Direction::Inbound, Author::User, MessageStatus::Received);
    new.at = event.at;
    new.received_at = event.arrived_at;
    new.trace = event.trace;
    new
}

/// The same, with Meta's metadata.
pub(super) fn described(event: &Received, message: &Inbound) -> Message {
    let mut new = received(event);
    new.mid = Some(message.mid.clone());
    new.body.kind = message::kind_of(message);
    new.body.text = message::text_of(message);
    new.body.attachments = (!message.attachments.is_empty()).then(|| json(&message.attachments));
    new.body.reply_to = message.reply_to.as_ref().map(json);
    new.body.metadata = message.referral.as_ref().map(referral_json);
    new
}

fn of_postback(event: &Received, postback: &Postback) -> Message {
    let mut new = received(event);
    "postback".clone_into(&mut new.body.kind);
    new.body.text = Some(message::postback_text(postback));
    new.body.metadata = postback.referral.as_ref().map(referral_json);
    new.needs_answer = is_ours(event) && new.body.text.as_deref().is_some_and(|text| !text.is_empty());
    new.mid.clone_from(&postback.mid);
    new
}

/// Whether the thread is ours to answer: not while another app owns it.
pub(super) fn is_ours(event: &Received) -> bool {
    event.container == Container::Messaging
}

fn referral_json(referral: &Referral) -> String {
    json(&serde_json::json!({ "referral": referral }))
}

/// Our own types always serialize.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
