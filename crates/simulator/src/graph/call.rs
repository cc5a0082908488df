//! An incoming call: path without version, query, body, token.

use std::borrow::Cow;

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, header};
use serde_json::Value;

use super::Host;
use super::errors::GraphError;
use super::form;

/// Uploads are the largest: Meta takes 25 MB.
const BODY_BYTES_MAX: usize = 27 << 20;

/// The newest version, since 4 November 2026 (Meta, "Graph API: changelog"). Calls of versions that have ended are served by the oldest
/// that has not; that later ones are refused like unknown paths is an assumption.
const VERSION_NEWEST: u16 = 27;

/// One call of the Graph API.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) host: Host,
    pub(crate) method: Method,
    /// The path without `vNN.N`.
    pub(crate) segments: Vec<String>,
    query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) token: Option<String>,
}

impl Call {
    pub(crate) async fn read(host: Host, request: Request) -> Result<Self, GraphError> {
        let (head, content) = request.into_parts();
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes())
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect();
        let bearer = head
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .map(str::to_owned);
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let bytes = to_bytes(content, BODY_BYTES_MAX)
            .await
            .map_err(|_| GraphError::new(1, "The request could not be read"))?;
        let body = read_body(content_type, bytes).await?;
        let in_query = query.iter().find(|(key, _)| key == "access_token").map(|(_, value)| value.clone());
        let in_body = || body["access_token"].as_str().map(str::to_owned);
        let token = bearer.or(in_query).or_else(in_body);
        let path = head.uri.path();
        if is_unknown(path) {
            return Err(GraphError::new(2_500, format!("Unknown path components: {path}")));
        }
        Ok(Self { host, method: head.method, segments: segments(path), query, token, body })
    }

    /// A parameter, from the query or from the body.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .or_else(|| self.body.get(name)?.as_str())
    }

    pub(crate) fn limit(&self) -> Option<usize> {
        self.query("limit")?.parse().ok()
    }
}

/// JSON, or a form of either type.
async fn read_body(content_type: Option<&str>, bytes: Bytes) -> Result<Value, GraphError> {
    let kind = content_type.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(form::urlencoded(&bytes));
    }
    if kind.starts_with("multipart/form-data") {
        let request = axum::http::Request::builder().header(header::CONTENT_TYPE, kind).body(bytes.into());
        let request = request.map_err(|err| GraphError::new(100, format!("(#100) {err}")))?;
        return form::multipart(request).await.map_err(|err| GraphError::new(100, format!("(#100) {err}")));
    }
    serde_json::from_slice(&bytes)
        .map_err(|_| GraphError::new(100, "(#100) The request body is not valid JSON"))
}

fn segments(path: &str) -> Vec<String> {
    let mut segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    if segments.first().is_some_and(|first| is_version(first)) {
        segments.remove(0);
    }
    segments
}

/// Percent-decodes with the form decoder, preserving the one character it would change.
fn decoded(segment: &str) -> String {
    let kept: Cow<'_, str> = segment.replace('+', "%2B").into();
    url::form_urlencoded::parse(kept.as_bytes()).map(|(key, _)| key.into_owned()).next().unwrap_or_default()
}

fn is_version(segment: &str) -> bool {
    major(segment).is_some()
}

/// The first number of a version.
fn major(segment: &str) -> Option<u16> {
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    minor.parse::<u16>().ok()?;
    major.parse().ok()
}

/// Whether the path begins with a version that does not exist yet.
fn is_unknown(path: &str) -> bool {
    path.split('/').find(|part| !part.is_empty()).and_then(major).is_some_and(|major| major > VERSION_NEWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_removed_from_the_path() {
        assert_eq!(segments("/v25.0/me/messages"), ["me", "messages"]);
        assert_eq!(segments("/me"), ["me"]);
        assert_eq!(segments("/vip/x"), ["vip", "x"]);
        assert_eq!(segments("/v25.0/a%2Fb+c"), ["a/b+c"]);
        assert!(is_unknown("/v28.0/me") && !is_unknown("/v27.0/me") && !is_unknown("/me"));
    }
}
