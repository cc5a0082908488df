//! Echoes: messages sent by the account itself. Our own are matched by mid or, before it is known, by the
//! text of a send of that time whose outcome is still unknown. Any other echo is a human writing in the
//! Instagram app.

use super::command::{Pause, Received};
use super::effect::{Fact, Sent};
use super::marks::merged;
use super::private_reply::PrivateReply;
use super::receive::{described, is_ours};
use super::rows::{Body, Message, MessageError};
use super::takeover::ModeReason;
use super::{Conversation, Tracked};
use crate::clock::Millis;
use crate::event::{Container, Inbound};
use crate::ids::MessageId;
use crate::states::{ActivityKind, Author, Direction, MessageStatus};
use crate::text::same_text;

/// Maximum clock difference between Meta and the database.
pub(super) const CLOCK_SKEW: Millis = 60_000;

/// The actor in the Instagram app, in the activity log.
const APP_ACTOR: &str = "person";

impl Conversation {
    pub(super) fn echo(&mut self, event: &Received, echo: &Inbound) {
        let now = self.now;
        let known = self.live_mut().find(|message| message.mid.as_deref() == Some(&echo.mid));
        if let Some(known) = known.filter(|known| !known.is_stub()) {
            if known.confirmed_at.is_none() {
                known.confirmed_at = Some(now);
            }
            return;
        }
        if let Some(ours) = self.own_send(event, echo) {
            self.changes.facts.push(Fact::Reconciled { service: "graph", result: "happened" });
            self.mark_sent(ours, &echo.mid, true);
            self.continue_outbox();
        } else if let Some(reply) = self.private_replies.iter().position(|body| says_the_same(body, echo)) {
            // The comment it answers is known to whoever sent it, and comes with the end of the call.
            let body = self.private_replies.swap_remove(reply);
            let (mid, author) = (echo.mid.clone(), Author::Rule);
            self.private_reply(PrivateReply { mid, body, author, at: event.at });
        } else if event.container == Container::History || !self.is_automatic(event, echo) {
            self.written_in_app(event, echo);
        }
    }

    /// Our send whose outcome is unknown and that an echo may be of.
    pub(super) fn own_send(&self, event: &Received, echo: &Inbound) -> Option<MessageId> {
        let until = self.policy.graph_timeout + self.policy.reconcile_grace + CLOCK_SKEW;
        let ours = self.live().find(|message| {
            matches!(message.status, MessageStatus::Sending | MessageStatus::Unknown)
                && message.direction == Direction::Outbound
                && message.started_at.is_some_and(|at| (at - CLOCK_SKEW..=at + until).contains(&event.at))
                && says_the_same(&message.body, echo)
        });
        ours.map(|message| message.id)
    }

    /// Whether an echo is of no message that is known, sent or being sent.
    pub(super) fn is_nobodys_yet(&self, event: &Received, echo: &Inbound) -> bool {
        let is_known = self.live().any(|known| known.mid.as_deref() == Some(&echo.mid) && !known.is_stub());
        !is_known && is_ours(event) && self.own_send(event, echo).is_none()
    }

    fn written_in_app(&mut self, event: &Received, echo: &Inbound) {
        let mut new = described(event, echo);
        (new.direction, new.author, new.status) = (Direction::Outbound, Author::Native, MessageStatus::Sent);
        new.sent_at = Some(event.at);
        let Some(id) = self.add_received(new) else { return };
        // What was written long ago silences nobody now.
        let is_news = event.container != Container::History;
        if let Some(seq) = self.message(id).map(|message| message.seq).filter(|_| is_news) {
            self.chat.human_seq = self.chat.human_seq.max(seq);
        }
        let sent = self.activity(ActivityKind::MessageSent, APP_ACTOR, id);
        self.record(sent);
        if is_ours(event) {
            self.taken_over_in_app(&echo.mid);
        }
    }

    /// A human wrote in the Instagram app.
    pub(super) fn taken_over_in_app(&mut self, mid: &str) {
        self.log_takeover(APP_ACTOR, "written in the Instagram app");
        self.take_over(&ModeReason::Echo(mid.to_owned()), Pause::Usual);
    }

    /// Records that a message was sent under `mid`. No-op if already recorded.
    pub(super) fn mark_sent(&mut self, id: MessageId, mid: &str, echoed: bool) {
        self.merge_into(id, mid);
        let now = self.now;
        let Some(message) = self.message(id) else { return };
        message.status = MessageStatus::Sent;
        message.mid = Some(mid.to_owned());
        message.sent_at.get_or_insert(now);
        if echoed {
            message.confirmed_at.get_or_insert(now);
        }
        (message.deadline, message.worker) = (None, None);
        message.error = MessageError::default();
        let sent = Sent {
            message: id,
            author: message.author,
            part: message.part,
            received_at: message.received_at,
            created_at: message.created_at,
            started_at: message.started_at.unwrap_or(message.created_at),
            now,
        };
        let actor = message.actor.clone().unwrap_or_else(|| message.author.as_str().into());
        let sent_by = message.sent_by.clone();
        self.changes.facts.push(Fact::Sent(sent));
        let mut activity = self.activity(ActivityKind::MessageSent, actor, id);
        if let Some(person) = sent_by {
            activity = activity.with("sentBy", person);
        }
        self.record(activity);
        self.chat.outbox.attempts = 0;
    }

    /// Merges another row with this mid into our message: a stub left by a reaction before the mid was known,
    /// or an echo taken for one of the app, whose takeover is undone.
    fn merge_into(&mut self, id: MessageId, mid: &str) {
        let other = self.live_mut().find(|other| other.mid.as_deref() == Some(mid) && other.id != id);
        let is_of_app = |author| matches!(author, Author::Native | Author::Automation);
        let Some(other) = other.filter(|other| other.is_stub() || is_of_app(other.author)) else { return };
        let (seq, metadata) = (other.seq, other.body.metadata.clone());
        other.delete();
        if let Some(message) = self.message(id).filter(|_| metadata.is_some()) {
            let ours = message.seq;
            message.body.metadata = merged(message.body.metadata.as_deref(), metadata.as_deref());
            self.was_read(ours, metadata.as_deref());
        }
        self.undo_takeover(&ModeReason::Echo(mid.to_owned()), seq);
    }

    /// The echo matched to this message was a human's: the message gets the mid its own call returned, or
    /// none if it was not sent, and the echo becomes its own message.
    pub(super) fn disown_echo(&mut self, id: MessageId, own_mid: Option<&str>) {
        let now = self.now;
        if let Some(own) = own_mid {
            self.merge_into(id, own);
        }
        let Some(message) = self.message(id) else { return };
        let Some(other) = message.mid.take() else { return };
        let text = message.body.text.clone();
        message.mid = own_mid.map(str::to_owned);
        let mut native = Message::new(Direction::Outbound, Author::Native, MessageStatus::Sent);
        native.mid = Some(other.clone());
        native.body = Tracked::loaded(Body { text, kind: "text".to_owned(), ..Default::default() });
        (native.at, native.received_at, native.sent_at) = (now, now, Some(now));
        let native = self.add_message(native);
        let sent = self.activity(ActivityKind::MessageSent, APP_ACTOR, native);
        self.record(sent);
        self.taken_over_in_app(&other);
    }
}

/// Whether what we send as one kind may come back as another: a heart as the image that it is, an own post as what is shared. Meta
/// documents neither.
fn echoes_as(ours: &str, theirs: &str) -> bool {
    match ours {
        "like_heart" => matches!(theirs, "image" | "sticker" | "like_heart"),
        "media_share" => matches!(theirs, "share" | "ig_post" | "post" | "ig_reel" | "reel" | "media"),
        "template" => matches!(theirs, "template" | "fallback"),
        _ => ours == theirs,
    }
}

/// Whether an echo can match our send: the same text, or an attachment of the kind we sent.
fn says_the_same(ours: &Body, echo: &Inbound) -> bool {
    match (ours.text.as_deref(), echo.text.as_deref()) {
        (Some(ours), Some(theirs)) => same_text(ours, theirs),
        (None, None) => {
            echo.attachments.first().is_some_and(|attachment| echoes_as(&ours.kind, &attachment.kind))
        }
        _ => false,
    }
}
