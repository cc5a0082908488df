//! Marks on earlier messages: unsent, edited, reactions, read. If the message has not arrived yet, a stub
//! stores the mark until it does.

use super::Conversation;
use super::command::{React, Received};
use super::effect::Reply;
use super::rows::{Body, Message, STUB, Turn, UNSENT};
use crate::clock::Millis;
use crate::event::{Edit, Reaction};
use crate::ids::{MessageId, TurnId};
use crate::states::{ActivityKind, Author, Direction, MessageStatus, TurnState};
use serde_json::{Value, json};

/// Error code of what was suppressed because the customer unsent the question.
pub(super) const TAKEN_BACK: &str = "unsent";

impl Conversation {
    /// The message was unsent: its content is erased everywhere, and it is not answered.
    pub(super) fn unsend(&mut self, event: &Received, mid: &str) {
        let id = self.find_or_stub(event, mid);
        self.announce_mark(id, ActivityKind::MessageUnsent);
        self.take_back(id);
    }

    /// Announces what a customer did to a message, if it has come and is not taken back.
    fn announce_mark(&mut self, id: MessageId, kind: ActivityKind) {
        if self.message(id).is_some_and(|message| !message.is_stub() && !message.is_unsent()) {
            let marked = self.activity(kind, "user", id);
            self.record(marked);
        }
    }

    /// Erases what a message says. A stub remembers it for the message that will come.
    pub(super) fn take_back(&mut self, id: MessageId) {
        let agent_seq = self.chat.agent_seq;
        let Some(message) = self.message(id) else { return };
        let stub = message.is_stub();
        let was_told = !message.is_unsent() && (message.turn_id.is_some() || message.seq <= agent_seq);
        // A stub keeps its kind, so that the message is recognized when it arrives.
        let kind = if stub { STUB } else { UNSENT };
        *message.body = Body { kind: kind.to_owned(), ..Body::default() };
        message.needs_answer = false;
        if stub && message.direction == Direction::Inbound {
            message.status = MessageStatus::Suppressed;
        }
        let turn = message.turn_id.filter(|_| message.part.is_none());
        if was_told && !stub && self.policy.renew_after_unsend && self.chat.agent_chat_id.is_some() {
            self.chat.renew = true;
        }
        if let Some(turn) = turn {
            self.withdraw_unless_asked(turn);
        }
    }

    /// Abandons an agent chat that contains an unsent message, once no question is under way in it: a new one replaces it, and it is
    /// deleted at the provider.
    pub(super) fn renew_agent_chat(&mut self) {
        let is_asked = |turn: &Turn| matches!(turn.state, TurnState::Asking | TurnState::Reconciling);
        if !self.chat.renew || self.turns.iter().any(|turn| is_asked(turn)) {
            return;
        }
        self.chat.renew = false;
        self.changes.former_agent_chats.extend(self.chat.agent_chat_id.take());
        (self.chat.agent_watermark, self.chat.recall) = (None, true);
    }

    /// The account was given another agent: the conversation goes on in a chat with that one, which is told what was said, once no
    /// question is under way with the former.
    pub(super) fn follow_agent(&mut self) {
        let is_asked = |turn: &Turn| matches!(turn.state, TurnState::Asking | TurnState::Reconciling);
        let is_same = self.chat.agent.as_ref() == Some(&self.connection.agent);
        if is_same || self.turns.iter().any(|turn| is_asked(turn)) {
            return;
        }
        let was_another = self.chat.agent.is_some();
        self.chat.agent = Some(self.connection.agent.clone());
        if was_another && self.chat.agent_chat_id.take().is_some() {
            (self.chat.agent_watermark, self.chat.recall) = (None, true);
        }
    }

    /// If everything a turn asks was unsent, no one waits for its answer, and its replies are not sent.
    fn withdraw_unless_asked(&mut self, id: TurnId) {
        let asked = |message: &Message| message.turn_id == Some(id) && message.part.is_none();
        if self.live().any(|message| asked(message) && message.needs_answer && !message.is_unsent()) {
            return;
        }
        if let Some(turn) = self.turn(id) {
            // Whatever else withdrew it, and may be undone.
            turn.withdrawn = Some(TAKEN_BACK.to_owned());
        }
        for reply in self.live_mut().filter(|reply| reply.turn_id == Some(id) && reply.part.is_some()) {
            if matches!(reply.status, MessageStatus::Queued | MessageStatus::Suppressed) {
                reply.status = MessageStatus::Suppressed;
                reply.error.code = Some(TAKEN_BACK.to_owned());
            }
            let is_said =
                matches!(reply.status, MessageStatus::Sent | MessageStatus::Sending | MessageStatus::Unknown);
            // It may quote what was taken back.
            if !is_said && reply.body.text.is_some() {
                reply.body.text = None;
            }
        }
    }

    /// The message's text changed. If it is unanswered, the new text is answered.
    pub(super) fn edit(&mut self, event: &Received, edit: &Edit) {
        let id = self.find_or_stub(event, &edit.mid);
        let Some(message) = self.message(id) else { return };
        let mut metadata = object(message.body.metadata.as_deref());
        // Edits may arrive out of order: only a later one counts.
        if message.is_unsent() || metadata["edits"].as_i64().is_some_and(|known| known >= edit.edits) {
            return;
        }
        metadata["edits"] = json!(edit.edits);
        message.body.metadata = Some(metadata.to_string());
        message.body.text.clone_from(&edit.text);
        self.announce_mark(id, ActivityKind::MessageEdited);
    }

    /// A reaction was added or removed.
    pub(super) fn reaction(&mut self, event: &Received, reaction: &Reaction) {
        let id = self.mark(event, &reaction.mid, "reaction", json!(reaction.emoji));
        self.announce_mark(id, ActivityKind::MessageReaction);
    }

    /// The account has reacted to a message: Meta sends no echo of it.
    pub(super) fn react(&mut self, react: React) -> Reply {
        let Some(message) = self.message(react.message).filter(|message| !message.is_unsent()) else {
            return Reply::Done;
        };
        let mut metadata = object(message.body.metadata.as_deref());
        metadata["ourReaction"] = json!(react.reaction);
        message.body.metadata = Some(metadata.to_string());
        let reacted = self.activity(ActivityKind::MessageReaction, react.actor, react.message);
        self.record(reacted);
        Reply::Done
    }

    /// Adds to the metadata of a message.
    pub(super) fn mark(&mut self, event: &Received, mid: &str, name: &str, value: Value) -> MessageId {
        let id = self.find_or_stub(event, mid);
        let Some(message) = self.message(id) else { return id };
        let mut metadata = object(message.body.metadata.as_deref());
        metadata[name] = value;
        message.body.metadata = Some(metadata.to_string());
        id
    }

    /// The customer has read everything sent up to this message.
    pub(super) fn read(&mut self, event: &Received, mid: Option<&str>) {
        let Some(mid) = mid else { return };
        let id = self.find_or_stub(event, mid);
        let Some(message) = self.message(id) else { return };
        let seq = message.seq;
        if message.is_stub() {
            // It may be a message of ours whose acceptance is not recorded yet.
            self.mark(event, mid, READ_AT, json!(event.at));
        }
        self.announce_mark(id, ActivityKind::MessageRead);
        self.read_up_to(seq, event.at);
    }

    /// What was read before the message was known to be ours.
    pub(super) fn was_read(&mut self, seq: i64, marks: Option<&str>) {
        if let Some(at) = object(marks)[READ_AT].as_i64() {
            self.read_up_to(seq, at);
        }
    }

    fn read_up_to(&mut self, seq: i64, at: Millis) {
        let before = self.changes.read_up_to.map_or(0, |(seq, _)| seq);
        self.changes.read_up_to = Some((seq.max(before), at));
    }

    fn find_or_stub(&mut self, event: &Received, mid: &str) -> MessageId {
        if let Some(message) = self.message_by_mid(mid) {
            return message.id;
        }
        let mut stub = Message::new(Direction::Inbound, Author::User, MessageStatus::Received);
        stub.mid = Some(mid.to_owned());
        STUB.clone_into(&mut stub.body.kind);
        stub.at = event.at;
        stub.received_at = self.now;
        self.add_message(stub)
    }
}

/// The mark of a stub that has been read, in milliseconds.
const READ_AT: &str = "readAt";

/// Metadata with that of a stub, or of an echo, of the same message.
pub(super) fn merged(metadata: Option<&str>, more: Option<&str>) -> Option<String> {
    let Some(more) = more else { return metadata.map(str::to_owned) };
    let mut all = object(metadata);
    for (name, value) in object(Some(more)).as_object().into_iter().flatten() {
        if name != READ_AT {
            all[name] = value.clone();
        }
    }
    Some(all.to_string())
}

fn object(json: Option<&str>) -> Value {
    json.and_then(|text| serde_json::from_str(text).ok())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}))
}
