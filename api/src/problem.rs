//! Errors as problem documents (RFC 9457), with a stable `type` each.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dmrelay_store::Error;
use serde_json::{Map, Value, json};

/// What a call answers when it cannot do what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    retry_after: Option<u64>,
}

/// The first part of every `type`.
const TYPES: &str = "urn:dmrelay:problem:";

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        Self { status, kind, title, detail: String::new(), more: Map::new(), retry_after: None }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// A request that is not understood; `pointer` is a JSON pointer, or a parameter's name.
    pub(crate) fn invalid(pointer: &str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid")
            .detail(format!("{pointer}: {what}"))
            .with("errors", json!([{ "pointer": pointer, "detail": what }]))
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "The request cannot be read").detail(detail)
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A valid API key is required")
            .detail("send Authorization: Bearer with an API key")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This key may not do that")
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing").detail(what)
    }
}

impl From<Error> for Problem {
    fn from(err: Error) -> Self {
        tracing::error!(error = %err, "call failed in the database");
        if err.is_refusal() {
            let title = "The request holds what cannot be stored";
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", title);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", "The database cannot be used now")
            .retry_after(1)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("type".to_owned(), json!(format!("{TYPES}{}", self.kind)));
        body.insert("title".to_owned(), json!(self.title));
        body.insert("status".to_owned(), json!(self.status.as_u16()));
        if !self.detail.is_empty() {
            body.insert("detail".to_owned(), json!(self.detail));
        }
        let json = Value::Object(body).to_string();
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], json).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
