//! The Send API (Meta, "Send messages"). It is not idempotent: a message posted twice is sent twice.

use crate::account::text;
use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::failure::Effect;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::split::MAX_BYTES;
use dmrelay_runtime::http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// The `message` object of a send.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing(Value);

/// A message that Graph would reject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct InvalidMessage {
    /// What is wrong with it.
    pub what: String,
    /// JSON pointer into the message.
    pub pointer: &'static str,
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

/// Attachment types that are sent by URL.
const MEDIA: [&str; 4] = ["image", "video", "audio", "file"];

/// Maximum number of quick replies, and maximum length of their titles in characters.
const QUICK_REPLIES_MAX: usize = 13;
const TITLE_CHARS_MAX: usize = 20;

impl Outgoing {
    /// A text of at most 1,000 bytes.
    ///
    /// # Errors
    /// [`InvalidMessage`] when it is empty or longer.
    pub fn text(text: &str) -> Result<Self, InvalidMessage> {
        check_text(text)?;
        Ok(Self(json!({ "text": text })))
    }

    /// A message in Graph's own format: text with or without quick replies, or one attachment by URL.
    ///
    /// # Errors
    /// [`InvalidMessage`] for anything Graph is documented to reject, and for formats this version does not
    /// send.
    pub fn from_json(message: &Value) -> Result<Self, InvalidMessage> {
        let object = message.as_object().ok_or_else(|| invalid("", "must be an object"))?;
        if message.to_string().contains("\\u0000") {
            return Err(invalid("", "must not hold U+0000"));
        }
        if let Some(name) =
            object.keys().find(|name| !matches!(name.as_str(), "text" | "quick_replies" | "attachment"))
        {
            return Err(invalid("", &format!("unknown field {name:?}")));
        }
        match (object.get("text"), object.get("attachment")) {
            (Some(_), Some(_)) => Err(invalid("/attachment", "text and attachment cannot be combined")),
            (Some(text), None) => {
                check_text(text.as_str().ok_or_else(|| invalid("/text", "must be a string"))?)?;
                check_quick_replies(object.get("quick_replies"))?;
                Ok(Self(message.clone()))
            }
            (None, Some(attachment)) => {
                check_attachment(attachment)?;
                Ok(Self(json!({ "attachment": attachment })))
            }
            (None, None) => Err(invalid("", "text or attachment is required")),
        }
    }

    /// The text, if there is one.
    pub fn as_text(&self) -> Option<&str> {
        self.0["text"].as_str()
    }

    /// The `message` object.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// Our word for its kind.
    pub fn kind(&self) -> &str {
        self.0["attachment"]["type"].as_str().unwrap_or("text")
    }
}

fn invalid(pointer: &'static str, what: &str) -> InvalidMessage {
    InvalidMessage { what: what.to_owned(), pointer }
}

fn check_text(text: &str) -> Result<(), InvalidMessage> {
    if text.trim().is_empty() {
        return Err(invalid("/text", "must not be empty"));
    }
    if text.len() > MAX_BYTES {
        return Err(invalid("/text", &format!("must be at most {MAX_BYTES} bytes, is {}", text.len())));
    }
    Ok(())
}

fn check_quick_replies(replies: Option<&Value>) -> Result<(), InvalidMessage> {
    let Some(replies) = replies else { return Ok(()) };
    let list = replies.as_array().ok_or_else(|| invalid("/quick_replies", "must be a list"))?;
    if list.is_empty() || list.len() > QUICK_REPLIES_MAX {
        return Err(invalid("/quick_replies", &format!("must hold 1 to {QUICK_REPLIES_MAX}")));
    }
    let good = |reply: &Value| {
        let title = reply["title"].as_str().unwrap_or_default();
        let sized = !title.is_empty() && title.chars().count() <= TITLE_CHARS_MAX;
        reply["content_type"] == "text" && sized && reply["payload"].is_string()
    };
    if list.iter().all(good) {
        return Ok(());
    }
    let form = format!(
        "each needs content_type \"text\", a title of 1 to {TITLE_CHARS_MAX} characters, and a payload"
    );
    Err(invalid("/quick_replies", &form))
}

fn check_attachment(attachment: &Value) -> Result<(), InvalidMessage> {
    let kind = attachment["type"].as_str().unwrap_or_default();
    if !MEDIA.contains(&kind) {
        return Err(invalid("/attachment/type", "must be image, video, audio or file"));
    }
    let address = attachment["payload"]["url"].as_str().and_then(|url| Url::parse(url).ok());
    match address {
        Some(url) if url.scheme() == "https" => Ok(()),
        _ => Err(invalid("/attachment/payload/url", "must be an https URL that Meta can fetch")),
    }
}

impl Graph {
    /// Sends a message and returns its mid, which its echo will contain. `human_agent` tags it as a human
    /// agent's answer outside the 24 hours. The call ends within `timeout`.
    ///
    /// # Errors
    /// [`GraphError`]; of class [`dmrelay_domain::failure::FailureClass::Ambiguous`] if it may have been
    /// sent.
    pub async fn send(
        &self,
        access: &Access,
        to: &InstagramUserId,
        message: &Outgoing,
        (human_agent, timeout): (bool, Duration),
    ) -> Result<String, GraphError> {
        let mut body = json!({ "recipient": { "id": to.as_str() }, "message": message.0 });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_graph_would_reject_are_rejected_with_the_location() {
        let at = |message: Value| Outgoing::from_json(&message).unwrap_err().pointer;
        assert_eq!(at(json!("x")), "");
        assert_eq!(at(json!({})), "");
        assert_eq!(at(json!({"text": " "})), "/text");
        assert_eq!(at(json!({"text": 5})), "/text");
        assert_eq!(at(json!({"text": "ä".repeat(501)})), "/text");
        assert_eq!(at(json!({"text": "a", "unknown": 1})), "");
        assert_eq!(at(json!({"text": "a", "quick_replies": []})), "/quick_replies");
        assert_eq!(at(json!({"text": "a", "attachment": {}})), "/attachment");
        assert_eq!(at(json!({"attachment": {"type": "exe"}})), "/attachment/type");
        let local = json!({"attachment": {"type": "image", "payload": {"url": "http://localhost/a"}}});
        assert_eq!(at(local), "/attachment/payload/url");
    }

    #[test]
    fn messages_graph_accepts_pass_unchanged() {
        let quick = json!({"text": "Pick", "quick_replies": [{"content_type": "text", "title": "Red", "payload": "RED"}]});
        assert_eq!(Outgoing::from_json(&quick).unwrap().as_json(), &quick);
        let image = json!({"attachment": {"type": "image", "payload": {"url": "https://example.com/a.jpg"}}});
        assert_eq!(Outgoing::from_json(&image).unwrap().kind(), "image");
        assert_eq!(Outgoing::text("hi").unwrap().as_text(), Some("hi"));
    }
}
