//! Ingests Meta's events.

use super::command::{Receive, Received};
use super::effect::{Effect, Fact, Refusal, Reply};
use super::marks::merged;
use super::rows::{Body, Message, REFERRAL, UNSENT};
use super::rules::{ACTOR as RULE, Fate};
use super::{Conversation, Tracked};
use crate::clock::{Millis, duration};
use crate::event::{Attachment, Container, Content, Inbound, Postback, Referral};
use crate::failure::FailureClass;
use crate::states::{
    ActivityKind, Author, ChatMode, ConnectionStatus, Direction, EventState, MessageStatus, NotAsked,
};
use crate::{media, message, window};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The kind of a message that tells that the user mentioned the account in a story.
pub(super) const STORY_MENTION: &str = "story_mention";

/// How far apart the two forms of one story mention may be.
const TWIN_WITHIN: Millis = 60_000;

/// How long after the erasure of a user an echo may still be of a reply that was on its way.
const ECHO_LATE: Millis = 60_000;

impl Conversation {
    pub(super) fn receive(&mut self, receive: Receive) -> Reply {
        if receive.events.is_empty() {
            return Reply::Idle;
        }
        if self.connection.status == Some(ConnectionStatus::Disconnected) {
            // They are of whoever has the account now, or connects it later.
            return Reply::Refused(Refusal::NotConnected);
        }
        for event in receive.events {
            if self.is_erased(&event) {
                self.changes.events.push((event.id, EventState::Erased));
                self.changes.facts.push(Fact::Ingested(EventState::Erased));
                continue;
            }
            self.take_in(&event);
            let understood = event.item.content != Content::Unknown;
            let state = if understood { EventState::Processed } else { EventState::Unknown };
            self.changes.events.push((event.id, state));
            self.changes.facts.push(Fact::Ingested(state));
        }
        let due = self.chat.turn.due_at;
        match (due, &receive.start) {
            (Some(due), Some(start)) if due <= self.now => return self.start_turn(start),
            // A turn in its backoff stays the poller's, which knows when a circuit breaker closes.
            (Some(due), _) if due > self.now && self.chat.turn.attempts > 0 => {}
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

    /// Whether it is a late delivery of what was erased. Of a reply that was on its way, the echo may come somewhat later.
    fn is_erased(&self, event: &Received) -> bool {
        let late = if matches!(event.item.content, Content::Echo(_)) { ECHO_LATE } else { 0 };
        self.chat.erased_at > 0 && event.at <= self.chat.erased_at + late
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
                let new = described(event, message);
                if !self.completes_story_mention(&new) {
                    self.add_from_customer(event, new, message::not_asked(message));
                }
            }
            Content::Unsupported(message) => {
                let mut new = described(event, message);
                message::UNSUPPORTED.clone_into(&mut new.body.kind);
                self.add_from_customer(event, new, Some(NotAsked::Unsupported));
            }
            Content::StoryMention { mid, referral } => self.story_mention(event, mid.as_deref(), referral),
            Content::Postback(postback) => {
                let new = of_postback(event, postback);
                let is_empty = new.body.text.as_deref().is_none_or(str::is_empty);
                self.add_from_customer(event, new, is_empty.then_some(NotAsked::Empty));
            }
            Content::Referral(referral) => {
                self.note(event, REFERRAL, &of_referral(referral));
                self.chat.note_seq = self.chat.last_seq;
            }
            Content::Handover => self.note(event, "handover", &Map::new()),
            Content::Unknown => {
                self.note(event, "unknown", &Map::from_iter([("event".to_owned(), json!(event.item.wire))]));
                let unknown = self.activity(ActivityKind::EventUnknown, "meta", event.id);
                self.record(unknown.with("event", event.item.wire.as_str()));
            }
            Content::Echo(message) => self.echo(event, message),
            Content::Unsend { mid } => self.unsend(event, mid),
            Content::Edit(edit) => self.edit(event, edit),
            Content::Reaction(reaction) => self.reaction(event, reaction),
            Content::Feedback { mid, feedback } => {
                self.mark(event, mid, "feedback", json!(feedback));
            }
            Content::Read { mid } => self.read(event, mid.as_deref()),
            Content::PolicyEnforcement { action, reason } => {
                let enforced = self.activity(ActivityKind::PolicyEnforced, "meta", self.connection.id);
                self.record(enforced.with("action", action.clone()).with("reason", reason.clone()));
            }
            Content::Comment(_) | Content::Mention(_) | Content::Ignored => {}
        }
    }

    /// Stores an event that is not a message.
    fn note(&mut self, event: &Received, kind: &str, metadata: &Map<String, Value>) {
        let mut new = received(event);
        new.author = Author::System;
        kind.clone_into(&mut new.body.kind);
        new.body.metadata = written(metadata);
        self.add_message(new);
    }

    /// The user mentioned the account in a story, told as a referral. The same may be told as a message, earlier or later.
    fn story_mention(&mut self, event: &Received, mid: Option<&str>, referral: &Referral) {
        let is_other = |known: &Message| known.mid.is_some() && mid.is_some() && known.mid.as_deref() != mid;
        if self.live().any(|known| is_story_mention(known, event.at) && !is_other(known)) {
            return self.note(event, REFERRAL, &of_referral(referral));
        }
        let url = ["url", "link"].into_iter().find_map(|name| referral.more.get(name)?.as_str());
        let attachment = Attachment {
            kind: STORY_MENTION.to_owned(),
            url: url.map(str::to_owned),
            title: None,
            media: None,
            words: None,
            more: Map::new(),
        };
        let mut new = received(event);
        STORY_MENTION.clone_into(&mut new.body.kind);
        new.mid = mid.map(str::to_owned);
        new.body.attachments = Some(json(&[attachment]));
        new.body.metadata = written(&of_referral(referral));
        self.add_from_customer(event, new, None);
    }

    /// Whether this message tells of a story mention that has already been told as a referral; then that one learns what
    /// it lacks.
    fn completes_story_mention(&mut self, new: &Message) -> bool {
        if new.body.kind != STORY_MENTION || new.body.text.is_some() {
            return false;
        }
        let is_twin = |known: &Message| known.mid.is_none() && is_story_mention(known, new.at);
        if !self.live().any(|known| is_twin(known)) {
            return false;
        }
        // What a stub has learned about it is the twin's, too.
        let stub = self.live_mut().find(|known| known.is_stub() && known.mid == new.mid);
        let (marks, taken_back) = match stub {
            Some(stub) => {
                let marks = stub.body.metadata.clone();
                let taken_back = stub.status == MessageStatus::Suppressed;
                stub.delete();
                (marks, taken_back)
            }
            None => (None, false),
        };
        if let Some(twin) = self.live_mut().find(|known| is_twin(known)) {
            twin.mid.clone_from(&new.mid);
            twin.body.attachments.clone_from(&new.body.attachments);
            twin.body.metadata = merged(twin.body.metadata.as_deref(), marks.as_deref());
        }
        let twin = self.live().find(|known| known.mid == new.mid).map(|twin| twin.id);
        if let Some(twin) = twin.filter(|_| taken_back) {
            self.take_back(twin);
        }
        true
    }

    /// Stores a customer's message. It is answered, unless there is a reason why the agent is not asked about it.
    fn add_from_customer(&mut self, event: &Received, mut new: Message, reason: Option<NotAsked>) {
        let reason = match event.container {
            Container::Messaging | Container::Change => reason,
            Container::Standby => Some(NotAsked::Standby),
            Container::History => Some(NotAsked::History),
        };
        let wish = self.wish(&event.item.content, event.at);
        let fate = if reason.is_none() { self.fate(&event.item.content, wish) } else { Fate::Asked };
        let reason = match fate {
            Fate::Ignored | Fate::Answered(_) => Some(NotAsked::Rule),
            Fate::Asked | Fate::HandedOver => reason,
        };
        new.needs_answer = reason.is_none();
        new.error.code = reason.map(|reason| reason.as_str().to_owned());
        // The first question is to tell what was said before. An agent chat that is under way is not told.
        if reason == Some(NotAsked::History) && self.chat.agent_chat_id.is_none() {
            self.chat.recall = true;
        }
        let (needs_answer, kind) = (new.needs_answer, new.body.kind.clone());
        let Some(id) = self.add_received(new) else { return };
        self.reconsider_echoes(event.at);
        if let Some(wish) = wish {
            self.heed(wish, event.at);
        }
        match fate {
            Fate::Answered(body) => {
                self.tell_agent();
                self.say(Author::Rule, *body, event);
            }
            Fate::Ignored => self.tell_agent(),
            Fate::HandedOver => self.hand_over(RULE, "", self.chat.last_seq),
            Fate::Asked => {}
        }
        if let Some(reason) = reason {
            self.tell_it_was_not_read(event, reason);
        }
        if needs_answer && self.message(id).is_some_and(|message| message.needs_answer) {
            if self.chat.first_unanswered_at.is_none() {
                self.chat.trace = event.trace;
            }
            self.await_answer(self.debounce());
            self.changes.facts.push(Fact::Received {
                late: event.arrived_at - event.at,
                inbox: event.ready_at - event.arrived_at,
                pickup: self.now - event.ready_at,
            });
        }
        let mut activity = self.activity(ActivityKind::MessageReceived, "user", id).with("kind", kind);
        if let Some(reason) = reason {
            activity = activity.with("notAsked", reason.as_str());
        }
        self.record(activity);
    }

    /// The customer sent what the agent cannot read, and nobody is about to answer: they are told the connection's text,
    /// once in a while.
    fn tell_it_was_not_read(&mut self, event: &Received, reason: NotAsked) {
        let text = self.connection.settings.unreadable_text.as_deref().map_or("", str::trim).to_owned();
        let is_answered = self.chat.first_unanswered_at.is_some() || self.open_turn().is_some();
        let told_lately = self.now - self.chat.notice_at < self.policy.notice_interval;
        let was_readable = matches!(reason, NotAsked::Standby | NotAsked::History | NotAsked::Rule);
        if text.is_empty() || was_readable || is_answered || told_lately {
            return;
        }
        if self.say(Author::Agent, Body::text(text), event) {
            self.chat.notice_at = self.now;
        }
    }

    /// Adds a received message, or fills the stub waiting for it. `None` if it already exists, or was unsent
    /// before it arrived.
    pub(super) fn add_received(&mut self, mut new: Message) -> Option<crate::ids::MessageId> {
        let named = if self.policy.keep_media {
            new.body.attachments.as_deref().and_then(media::named)
        } else {
            None
        };
        if named.is_some() {
            new.body.attachments.clone_from(&named);
        }
        let id = self.add_or_fill(new)?;
        if let Some(named) = named {
            self.changes.media.extend(media::kept(&named).into_iter().map(|kept| (id, kept)));
            self.changes.effects.push(Effect::FetchMedia);
        }
        Some(id)
    }

    fn add_or_fill(&mut self, new: Message) -> Option<crate::ids::MessageId> {
        let mid = new.mid.clone();
        let known = mid.and_then(|mid| self.live_mut().find(|known| known.mid.as_deref() == Some(&mid)));
        match known {
            None => Some(self.add_message(new)),
            Some(stub) if stub.is_stub() => {
                let (seq, marks) = (stub.seq, stub.body.metadata.clone());
                let filled = fill(stub, &new);
                if new.direction == Direction::Outbound {
                    self.was_read(seq, marks.as_deref());
                }
                filled
            }
            Some(_) => None,
        }
    }

    pub(super) fn debounce(&self) -> Millis {
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
        let marks = stub.body.metadata.take();
        stub.body.metadata = merged(new.body.metadata.as_deref(), marks.as_deref());
        if !edited {
            stub.body.text.clone_from(&new.body.text);
        }
    }
    stub.needs_answer = new.needs_answer && !taken_back;
    stub.error = new.error.clone();
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
    new.body.metadata = written(&message::metadata_of(message));
    new
}

fn of_postback(event: &Received, postback: &Postback) -> Message {
    let mut new = received(event);
    "postback".clone_into(&mut new.body.kind);
    new.body.text = Some(message::postback_text(postback));
    let mut metadata = postback.referral.as_ref().map(of_referral).unwrap_or_default();
    let button = json!({ "title": postback.title, "payload": postback.payload });
    metadata.insert("postback".to_owned(), button);
    new.body.metadata = written(&metadata);
    new.mid.clone_from(&postback.mid);
    new
}

/// Whether the thread is ours to answer: not while another app owns it.
pub(super) fn is_ours(event: &Received) -> bool {
    event.container == Container::Messaging
}

fn of_referral(referral: &Referral) -> Map<String, Value> {
    Map::from_iter([("referral".to_owned(), json!(referral))])
}

/// Metadata as it is stored.
fn written(metadata: &Map<String, Value>) -> Option<String> {
    (!metadata.is_empty()).then(|| json(metadata))
}

fn is_story_mention(message: &Message, at: Millis) -> bool {
    message.direction == Direction::Inbound
        && message.body.kind == STORY_MENTION
        && (message.at - at).abs() <= TWIN_WITHIN
}

/// Our own types always serialize.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
