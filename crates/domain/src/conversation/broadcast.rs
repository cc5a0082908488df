//! A broadcast in a conversation: sent only where nobody is answering, and nobody has to be spared.

use super::Conversation;
use super::compose::template_values;
use super::effect::{Refusal, Reply};
use super::rows::{Body, Message};
use crate::ids::{BroadcastId, MessageId};
use crate::outgoing::Template;
use crate::states::{Author, ChatMode, Direction, LoginKind, MessageStatus, Skipped};
use crate::window::{self, Window};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A message for many customers.
#[derive(Debug, Clone)]
pub struct Broadcast {
    /// The broadcast.
    pub id: BroadcastId,
    /// The id of this customer's message, the same for each attempt, so that it is stored once.
    pub message: MessageId,
    /// What all are told.
    pub content: Arc<BroadcastContent>,
}

/// What all recipients of a broadcast are told.
#[derive(Debug, Clone, PartialEq)]
pub struct BroadcastContent {
    /// The message, with variables.
    pub message: Template,
    /// Values for its variables. `name` and `username` are the customer's where they are known, whatever stands here.
    pub variables: BTreeMap<String, String>,
    /// The saved message that it was made of, as it stands in the metadata of messages.
    pub template: Option<Value>,
}

impl Conversation {
    pub(super) fn broadcast(&mut self, broadcast: &Broadcast) -> Reply {
        if self.message(broadcast.message).is_some() {
            return Reply::Done;
        }
        if !self.connection.is_connected() || self.connection.bot_paused {
            return Reply::Refused(Refusal::NotConnected);
        }
        if let Some(why) = self.spared(broadcast.message) {
            return Reply::Skipped(why);
        }
        let Some(body) = self.broadcast_body(broadcast) else { return Reply::Skipped(Skipped::NotFilled) };
        let mut new = Message::new(Direction::Outbound, Author::Broadcast, MessageStatus::Queued);
        new.id = broadcast.message;
        new.body = super::Tracked::loaded(body);
        (new.at, new.received_at) = (self.now, self.now);
        self.add_message(new);
        self.tell_agent();
        self.continue_outbox();
        Reply::Done
    }

    fn broadcast_body(&self, broadcast: &Broadcast) -> Option<Body> {
        let BroadcastContent { message, variables, template } = &*broadcast.content;
        let outgoing = message.fill(&template_values(variables, &self.chat)).ok()?;
        if outgoing.needs_facebook_login() && self.connection.login != LoginKind::Facebook {
            return None;
        }
        let mut metadata = json!({ "broadcast": { "id": broadcast.id } });
        if let Some(template) = template {
            metadata["template"] = template.clone();
        }
        Some(Body { metadata: Some(metadata.to_string()), ..Body::of(&outgoing) })
    }

    /// Why a broadcast is not said in this conversation now. The single place for this rule: it holds when it is queued, and again just
    /// before it is sent.
    pub(super) fn spared(&self, message: MessageId) -> Option<Skipped> {
        let chat = &self.chat;
        let is_under_way = |other: &Message| {
            other.id != message && (other.status == MessageStatus::Queued || other.is_unresolved())
        };
        // It must be open until the call ends.
        let until = self.now + self.policy.graph_timeout;
        if chat.opted_out_at.is_some() {
            Some(Skipped::OptedOut)
        } else if chat.mode != ChatMode::Bot {
            Some(Skipped::HumanAnswers)
        } else if window::at(chat.window_expires_at, until) != Window::Open {
            Some(Skipped::WindowClosed)
        } else if chat.first_unanswered_at.is_some()
            || self.open_turn().is_some()
            || self.live().any(|other| is_under_way(other))
        {
            Some(Skipped::AgentAnswers)
        } else {
            None
        }
    }
}
