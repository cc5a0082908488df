//! The Send API (Meta, "Send messages"). It is not idempotent: a message posted twice is sent twice.

use crate::account::text;
use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::failure::Effect;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::outgoing::Outgoing;
use dmrelay_runtime::http::Method;
use serde_json::json;
use std::time::Duration;

/// A message on its way to a customer.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// The customer.
    pub to: &'a InstagramUserId,
    /// What it says.
    pub message: &'a Outgoing,
    /// The mid of the message that it replies to (Meta, "Messaging API": `reply_to`; with Instagram Login since 21 September 2026).
    pub reply_to: Option<&'a str>,
    /// Tags it as a human agent's answer, after the 24 hours.
    pub human_agent: bool,
    /// The call ends within it.
    pub timeout: Duration,
}

/// A sender action: a signal to the user that is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderAction {
    /// Mark seen.
    MarkSeen,
    /// Typing indicator.
    TypingOn,
}

impl SenderAction {
    fn as_str(self) -> &'static str {
        match self {
            Self::MarkSeen => "mark_seen",
            Self::TypingOn => "typing_on",
        }
    }
}

impl Graph {
    /// Sends a message and returns its mid, which its echo will contain.
    ///
    /// # Errors
    /// [`GraphError`]; of class [`dmrelay_domain::failure::FailureClass::Ambiguous`] if it may have been
    /// sent.
    pub async fn send(&self, access: &Access, sending: &Sending<'_>) -> Result<String, GraphError> {
        let Sending { to, message, reply_to, human_agent, timeout } = *sending;
        let mut body = json!({ "recipient": { "id": to.as_str() }, "message": message.as_json() });
        if let Some(mid) = reply_to {
            body["reply_to"] = json!({ "mid": mid });
        }
        if human_agent {
            body["messaging_type"] = json!("MESSAGE_TAG");
            body["tag"] = json!("HUMAN_AGENT");
        }
        let path = [access.node.as_str(), "messages"];
        let request = Request {
            effect: Effect::Write,
            method: Method::POST,
            json: Some(body),
            timeout: timeout.min(self.options.timeout),
            ..self.read("send", &path, &[])
        };
        let json = self.call(access, request).await?;
        text(&json["message_id"])
            .ok_or_else(|| GraphError::odd(Effect::Write, "the answer has no message_id"))
    }

    /// Reacts to a message with an emoji or Meta's word for one, instead of an earlier reaction; or takes the reaction back. Meta sends no
    /// echo of it.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn react(
        &self,
        access: &Access,
        to: &InstagramUserId,
        mid: &str,
        reaction: Option<&str>,
    ) -> Result<(), GraphError> {
        let path = [access.node.as_str(), "messages"];
        let mut body = json!({ "recipient": { "id": to.as_str() }, "payload": { "message_id": mid } });
        body["sender_action"] = json!(if reaction.is_some() { "react" } else { "unreact" });
        if let Some(reaction) = reaction {
            body["payload"]["reaction"] = json!(reaction);
        }
        let request =
            Request { method: Method::POST, json: Some(body), ..self.read("sender_action", &path, &[]) };
        self.call(access, request).await.map(|_| ())
    }

    /// Marks seen or shows typing. Nothing depends on it.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn act(
        &self,
        access: &Access,
        to: &InstagramUserId,
        action: SenderAction,
    ) -> Result<(), GraphError> {
        let path = [access.node.as_str(), "messages"];
        let request = Request {
            method: Method::POST,
            json: Some(json!({ "recipient": { "id": to.as_str() }, "sender_action": action.as_str() })),
            timeout: self.options.courtesy_timeout,
            ..self.read("sender_action", &path, &[])
        };
        self.call(access, request).await.map(|_| ())
    }
}
