//! A private reply to a comment, which opens a conversation from the account's side (Meta, "Private replies").

use super::Conversation;
use super::effect::Reply;
use super::marks::merged;
use super::rows::{Body, Message};
use super::takeover::ModeReason;
use crate::clock::Millis;
use crate::states::{ActivityKind, Author, Direction, MessageStatus};

/// A private reply that Meta has accepted.
#[derive(Debug, Clone)]
pub struct PrivateReply {
    /// Meta's id of the message.
    pub mid: String,
    /// What it says, with the comment in its metadata.
    pub body: Body,
    /// Who said it: a rule, or the agent.
    pub author: Author,
    /// When it was sent.
    pub at: Millis,
}

impl Conversation {
    /// Records a private reply in the conversation with whoever wrote the comment. Its echo may have come before, and been taken for a
    /// human's.
    pub(super) fn private_reply(&mut self, reply: PrivateReply) -> Reply {
        let PrivateReply { mid, mut body, author, at } = reply;
        let is_this = |message: &Message| message.mid.as_deref() == Some(mid.as_str());
        if let Some(known) = self.live_mut().find(|message| is_this(message)) {
            // An echo knows the message, and not yet its comment.
            body.metadata = merged(known.body.metadata.as_deref(), body.metadata.as_deref());
            if known.author == author {
                if known.body.metadata != body.metadata {
                    known.body.metadata = body.metadata;
                }
                return Reply::Done;
            }
        }
        // An agent that answered the comment did so elsewhere: the first question here tells it.
        self.chat.recall |= self.chat.agent_chat_id.is_none();
        let known = self.live_mut().find(|message| is_this(message));
        if let Some(known) = known {
            let was_native = known.author == Author::Native;
            (known.direction, known.author, known.status) =
                (Direction::Outbound, author, MessageStatus::Sent);
            known.sent_at.get_or_insert(at);
            known.body = super::Tracked::loaded(body);
            known.body.touch();
            let seq = known.seq;
            if was_native {
                self.undo_takeover(&ModeReason::Echo(mid), seq);
            }
            self.chat.note_seq = self.chat.note_seq.max(seq);
            return Reply::Done;
        }
        let mut new = Message::new(Direction::Outbound, author, MessageStatus::Sent);
        new.body = super::Tracked::loaded(body);
        new.mid = Some(mid);
        (new.at, new.received_at, new.sent_at) = (at, at, Some(at));
        let id = self.add_message(new);
        self.tell_agent();
        let sent = self.activity(ActivityKind::MessageSent, author.as_str(), id);
        self.record(sent);
        Reply::Done
    }
}
