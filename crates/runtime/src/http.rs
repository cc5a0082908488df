//! The one client for outgoing calls. Every call has a timeout, redirects are off, answers are bounded, and
//! a failure says whether the request can have arrived.

use crate::metrics::Metrics;
use bytes::{Bytes, BytesMut};
use dmrelay_domain::failure::{FailureClass, Wire};
use dmrelay_domain::secret::Secret;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;
use url::Url;

pub use reqwest::Method;

/// The longest answer that is read, in bytes.
const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The client; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    metrics: Arc<Metrics>,
}

/// A call to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whom, for the metrics: `graph`, `retell` or `jwks`.
    pub service: &'static str,
    /// What, for the metrics.
    pub operation: &'static str,
    /// The method.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// `Authorization: Bearer`.
    pub bearer: Option<Secret<String>>,
    /// The JSON body.
    pub json: Option<Value>,
    /// The time for all of it, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long to wait, from `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// Meta's usage headers, where there are any: `X-Business-Use-Case-Usage`, else `X-App-Usage`.
    pub usage: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A call without an answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// No connection was made: the request has surely not arrived.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have arrived.
    #[error("no answer: {0}")]
    Lost(String),
}

impl Failure {
    /// How far the call came.
    pub fn wire(&self) -> Wire {
        match self {
            Self::NotSent(_) => Wire::NotSent,
            Self::Lost(_) => Wire::Lost,
        }
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, if it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Client {
    /// A client that connects within `connect_timeout`.
    ///
    /// # Errors
    /// When the TLS roots of the system cannot be read.
    pub fn new(connect_timeout: Duration, metrics: Arc<Metrics>) -> Result<Self, String> {
        install_tls();
        let inner = reqwest::Client::builder()
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("dmrelay/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|err| format!("the HTTP client cannot be built: {err}"))?;
        Ok(Self { inner, metrics })
    }

    /// Makes a call and reads its answer.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer.
    pub async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let (service, operation) = (call.service, call.operation);
        let started = Instant::now();
        let span = tracing::info_span!("call", service, operation);
        let outcome = self.attempt(call).instrument(span).await;
        let status = match &outcome {
            Ok(answer) => match answer.status {
                200..=299 => "2xx",
                429 => "429",
                400..=499 => "4xx",
                500.. => "5xx",
                _ => "other",
            },
            Err(Failure::NotSent(_)) => "not_sent",
            Err(Failure::Lost(_)) => "lost",
        };
        let seconds = started.elapsed().as_secs_f64();
        self.metrics.outgoing_seconds.with_label_values(&[service, operation, status]).observe(seconds);
        outcome
    }

    /// Shows the calls to a service at zero before the first is made.
    pub fn expect_calls(&self, service: &str, operations: &[&str]) {
        self.metrics.expect_calls(service, operations);
    }

    /// Counts a call that failed, by what its answer, or the lack of one, means.
    pub fn failed(&self, service: &str, operation: &str, class: FailureClass) {
        self.metrics.outgoing_failures.with_label_values(&[service, operation, class.as_str()]).inc();
    }

    async fn attempt(&self, call: Call) -> Result<Answer, Failure> {
        let mut request = self.inner.request(call.method, call.url).timeout(call.timeout);
        if let Some(token) = &call.bearer {
            request = request.bearer_auth(token.expose());
        }
        if let Some(json) = &call.json {
            request = request.json(json);
        }
        let mut response = request.send().await.map_err(failure)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after =
            header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let usage = header("x-business-use-case-usage").or_else(|| header("x-app-usage")).map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                return Err(Failure::Lost("the answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, usage, body: body.freeze() })
    }
}

/// Makes ring the TLS provider of the process, if none is yet.
pub fn install_tls() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether the request can have arrived. The address is stripped: it may carry a token.
fn failure(err: reqwest::Error) -> Failure {
    let not_sent = err.is_connect() || err.is_builder();
    let err = err.without_url();
    let mut text = err.to_string();
    let mut source = std::error::Error::source(&err);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if not_sent { Failure::NotSent(text) } else { Failure::Lost(text) }
}

/// `base` with these segments at the end of its path, each escaped.
pub fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        let base = Url::parse("http://host/graph/").unwrap();
        assert_eq!(join(&base, &["v25.0", "a/../b?c"]).as_str(), "http://host/graph/v25.0/a%2F..%2Fb%3Fc");
    }
}
