//! Comments (Meta, "Private replies", "Comment moderation"). None of these calls is idempotent.

use crate::account::text;
use crate::graph::Request;
use crate::thread::created;
use crate::{Access, Graph, GraphError};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::failure::Effect;
use dmrelay_domain::ids::InstagramUserId;
use dmrelay_domain::outgoing::Outgoing;
use dmrelay_runtime::http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A private reply that Meta accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its mid.
    pub mid: String,
    /// The recipient, which ties the comment to a conversation; none if Meta does not tell.
    pub to: Option<InstagramUserId>,
}

impl Graph {
    /// When a comment was written; the webhook does not tell.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn comment_time(&self, access: &Access, comment: &str) -> Result<Millis, GraphError> {
        let json = self.call(access, self.read("comment", &[comment], &[("fields", "timestamp")])).await?;
        let at = json["timestamp"].as_str().and_then(created);
        at.ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no timestamp"))
    }

    /// Sends a private reply to a comment: one, within seven days, and during a live broadcast only as long as it lasts.
    ///
    /// # Errors
    /// [`GraphError`]; of class [`dmrelay_domain::failure::FailureClass::Ambiguous`] if it may have been sent.
    pub async fn private_reply(
        &self,
        access: &Access,
        comment: &str,
        message: &Outgoing,
        timeout: Duration,
    ) -> Result<Accepted, GraphError> {
        let path = [access.node.as_str(), "messages"];
        let body = json!({ "recipient": { "comment_id": comment }, "message": message.as_json() });
        let json = self.write(access, ("private_reply", &path), body, timeout).await?;
        let mid = text(&json["message_id"]);
        let mid = mid.ok_or_else(|| GraphError::odd(Effect::Write, "the answer has no message_id"))?;
        let to = text(&json["recipient_id"]).and_then(|id| InstagramUserId::parse(&id).ok());
        Ok(Accepted { mid, to })
    }

    /// Answers a comment for everybody to see.
    ///
    /// # Errors
    /// [`GraphError`], as for a private reply.
    pub async fn public_reply(
        &self,
        access: &Access,
        comment: &str,
        message: &str,
        timeout: Duration,
    ) -> Result<(), GraphError> {
        let path = [comment, "replies"];
        self.write(access, ("public_reply", &path), json!({ "message": message }), timeout).await.map(|_| ())
    }

    /// Hides a comment. To do it twice does no harm.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn hide_comment(
        &self,
        access: &Access,
        comment: &str,
        timeout: Duration,
    ) -> Result<(), GraphError> {
        self.write(access, ("hide_comment", &[comment]), json!({ "hide": true }), timeout).await.map(|_| ())
    }

    async fn write(
        &self,
        access: &Access,
        (operation, path): (&'static str, &[&str]),
        body: Value,
        timeout: Duration,
    ) -> Result<Value, GraphError> {
        let request = Request {
            effect: Effect::Write,
            method: Method::POST,
            json: Some(body),
            timeout: timeout.min(self.options.timeout),
            ..self.read(operation, path, &[])
        };
        self.call(access, request).await
    }
}
