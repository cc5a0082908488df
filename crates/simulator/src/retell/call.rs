//! An incoming call.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, header};
use serde_json::Value;

use super::RetellError;

const BODY_BYTES_MAX: usize = 1 << 20;

/// One call of Retell's API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) key: Option<String>,
}

impl Call {
    pub(super) async fn read(request: Request) -> Result<Self, RetellError> {
        let (head, body) = request.into_parts();
        let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| RetellError::bad_request())?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|_| RetellError::bad_request())?
        };
        Ok(Self {
            segments: head.uri.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            query: url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
            key: head
                .headers
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
                .map(str::to_owned),
            method: head.method,
            body,
        })
    }

    /// The chat in the path, or in the body.
    pub(super) fn chat_id(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [call, id] if call.ends_with("-chat") => Some(id),
            _ => self.body["chat_id"].as_str(),
        }
    }

    /// The agent in the path, or in the body.
    pub(super) fn agent_id(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [call, id] if call.ends_with("-agent") => Some(id),
            _ => self.body["agent_id"].as_str(),
        }
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
