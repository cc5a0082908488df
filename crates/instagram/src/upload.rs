//! Uploads for messages: Meta keeps a file, and messages name it (Meta, "Attachment upload").

use crate::account::text;
use crate::graph::Request;
use crate::{Access, Graph, GraphError};
use bytes::Bytes;
use dmrelay_domain::failure::Effect;
use dmrelay_domain::states::LoginKind;
use dmrelay_runtime::http::{Method, Part};
use serde_json::json;
use std::time::Duration;

/// A file for messages.
#[derive(Debug, Clone)]
pub struct File {
    /// `image`, `video`, `audio` or `file`.
    pub kind: &'static str,
    /// Its name, in ASCII: Meta takes no other.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Graph {
    /// Uploads a file, and gives the `attachment_id` by which any number of messages send it. With Instagram Login this is what clients do;
    /// no page of Meta's shows the request.
    ///
    /// # Errors
    /// [`GraphError`]. Uploading again does no harm.
    pub async fn upload(&self, access: &Access, file: File, timeout: Duration) -> Result<String, GraphError> {
        let payload = json!({ "is_reusable": true });
        let message = json!({ "attachment": { "type": file.kind, "payload": payload } });
        let mut parts = vec![Part::text("message", message.to_string())];
        if access.login == LoginKind::Facebook {
            parts.push(Part::text("platform", "instagram"));
        }
        let named = Some((file.name, file.content_type));
        parts.push(Part { name: "filedata", bytes: file.bytes, file: named });
        let path = [access.node.as_str(), "message_attachments"];
        let request = Request { method: Method::POST, parts, timeout, ..self.read("upload", &path, &[]) };
        let json = self.call(access, request).await?;
        text(&json["attachment_id"])
            .ok_or_else(|| GraphError::odd(Effect::Read, "the answer has no attachment_id"))
    }
}
