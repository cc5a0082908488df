//! The HTTP client for all outgoing calls. Every call has a timeout, redirects are off, responses have a
//! maximum size, and a failure tells whether the request may have arrived.

use crate::metrics::Metrics;
use crate::public;
use bytes::{Bytes, BytesMut};
use dmrelay_domain::failure::{FailureClass, Wire};
use dmrelay_domain::json;
use dmrelay_domain::secret::Secret;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;
use url::{Host, Url};

pub use reqwest::Method;

/// Maximum size of a response, in bytes.
const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same, of a receiver that a tenant named: what it answers beside the status does not matter.
const RECEIVER_RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Whether nobody between here and the host of a URL can read what is sent, or put another answer in its place:
/// `https`, or plain `http` to this machine.
pub fn is_private_path(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => true,
        "http" => is_loopback,
        _ => false,
    }
}

/// Parses the address of a service that is sent secrets: `https`; or plain `http` to this machine, to a private network, or to a
/// name without a dot, which only a private network has.
///
/// # Errors
/// What is wrong with it.
pub fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|err| err.to_string())?;
    if is_private_path(&url) || (url.scheme() == "http" && is_near(&url)) {
        return Ok(url);
    }
    Err("must be https, or http to this machine or a private network: it is sent tokens and keys".to_owned())
}

/// Whether the host is this machine, in a private network, or a name without a dot, which only a private network has. Hosts of schemes
/// that are not the web's are names, whatever they look like.
pub fn is_near(url: &Url) -> bool {
    let parsed = url.host_str().and_then(|host| Host::parse(host).ok());
    match parsed {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Some(Host::Domain(name)) => !name.contains('.'),
        None => false,
    }
}

/// The client; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    metrics: Arc<Metrics>,
    responses: Responses,
}

/// What becomes of a response that is too large.
#[derive(Debug, Clone, Copy)]
enum Responses {
    /// The call fails.
    UpTo(usize),
    /// The rest is not read.
    CutAt(usize),
}

/// A call to make.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service, for the metrics: `graph`, `retell`, `jwks`, `media`, `words` or `receiver`.
    pub service: &'static str,
    /// The operation, for the metrics.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The bearer token.
    pub bearer: Option<Secret<String>>,
    /// The JSON body.
    pub json: Option<Value>,
    /// The JSON body as it is to be sent to the byte, for calls that are signed.
    pub signed_json: Option<Bytes>,
    /// The fields of a form, for calls whose body is one.
    pub form: Vec<(&'static str, Secret<String>)>,
    /// The parts of a multipart form, for calls that upload a file (RFC 7578).
    pub parts: Vec<Part>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Timeout of the whole call, from connecting to the last byte of the response.
    pub timeout: Duration,
}

/// A part of a multipart form.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
    /// The name, in ASCII, and the media type of a file.
    pub file: Option<(String, &'static str)>,
}

impl Part {
    /// A field with this text.
    pub fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, bytes: Bytes::from(text.into()), file: None }
    }

    fn encoded(self) -> Result<reqwest::multipart::Part, Failure> {
        let length = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let part = reqwest::multipart::Part::stream_with_length(self.bytes, length);
        let Some((name, kind)) = self.file else { return Ok(part) };
        part.file_name(name).mime_str(kind).map_err(failure)
    }
}

impl Call {
    /// A GET of this address, without a token, within `timeout`. Other calls are written as one with other fields.
    pub const fn get(
        (service, operation): (&'static str, &'static str),
        url: Url,
        timeout: Duration,
    ) -> Self {
        Self {
            service,
            operation,
            method: Method::GET,
            url,
            bearer: None,
            json: None,
            signed_json: None,
            form: Vec::new(),
            parts: Vec::new(),
            headers: Vec::new(),
            timeout,
        }
    }
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The delay from `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// Meta's usage header, if present: `X-Business-Use-Case-Usage`, otherwise `X-App-Usage`.
    pub usage: Option<String>,
    /// Where it leads, for a redirect.
    pub location: Option<String>,
    /// The media type of the body, as the server tells it.
    pub content_type: Option<String>,
    /// Its size in bytes, likewise.
    pub content_length: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// A call without a response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// No connection was made: the request certainly did not arrive.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request may have arrived.
    #[error("no response: {0}")]
    Lost(String),
    /// The response is larger than what is read of one.
    #[error("no response: the response is too large")]
    TooLarge,
}

impl Failure {
    /// How far the call got.
    pub fn wire(&self) -> Wire {
        match self {
            Self::NotSent(_) => Wire::NotSent,
            Self::Lost(_) | Self::TooLarge => Wire::Lost,
        }
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body parsed as JSON, leniently; see [`json::read`].
    pub fn json(&self) -> Option<Value> {
        json::read(&self.body)
    }
}

impl Client {
    /// Creates a client with this connect timeout.
    ///
    /// # Errors
    /// If the system's TLS roots cannot be read.
    pub fn new(connect_timeout: Duration, metrics: Arc<Metrics>) -> Result<Self, String> {
        Self::build(builder(connect_timeout), metrics, Responses::UpTo(RESPONSE_BYTES_MAX))
    }

    /// Creates a client for receivers that tenants name. It calls only public addresses, whatever a name resolves to, and uses no
    /// proxy, which would resolve names by itself. With `allows_private`, which is for development, it calls any address.
    ///
    /// # Errors
    /// If the system's TLS roots cannot be read.
    pub fn for_receivers(
        connect_timeout: Duration,
        allows_private: bool,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let builder = guarded(connect_timeout, allows_private);
        Self::build(builder, metrics, Responses::CutAt(RECEIVER_RESPONSE_BYTES_MAX))
    }

    /// The same for media, which are read as a whole: a response of more than `most` bytes is none.
    ///
    /// # Errors
    /// If the system's TLS roots cannot be read.
    pub fn for_media(
        connect_timeout: Duration,
        (allows_private, most): (bool, usize),
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        Self::build(guarded(connect_timeout, allows_private), metrics, Responses::UpTo(most))
    }

    fn build(
        builder: reqwest::ClientBuilder,
        metrics: Arc<Metrics>,
        responses: Responses,
    ) -> Result<Self, String> {
        let inner = builder.build().map_err(|err| format!("cannot build the HTTP client: {err}"))?;
        Ok(Self { inner, metrics, responses })
    }

    /// Makes a call and reads its response.
    ///
    /// # Errors
    /// [`Failure`] without a complete response.
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
            Err(Failure::Lost(_) | Failure::TooLarge) => "lost",
        };
        let seconds = started.elapsed().as_secs_f64();
        self.metrics.outgoing_seconds.with_label_values(&[service, operation, status]).observe(seconds);
        outcome
    }

    /// Initializes the metrics of a service's calls at zero.
    pub fn expect_calls(&self, service: &str, operations: &[&str]) {
        self.metrics.expect_calls(service, operations);
    }

    /// Counts a failed call by its failure class.
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
        if let Some(body) = call.signed_json {
            request = request.header("content-type", "application/json").body(body);
        }
        if !call.form.is_empty() {
            let fields = call.form.iter().map(|(name, value)| (*name, value.expose()));
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        if !call.parts.is_empty() {
            let mut form = reqwest::multipart::Form::new();
            for part in call.parts {
                form = form.part(part.name, part.encoded()?);
            }
            request = request.multipart(form);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(failure)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after =
            header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let usage = header("x-business-use-case-usage").or_else(|| header("x-app-usage")).map(str::to_owned);
        let location = header("location").map(str::to_owned);
        let content_type = header("content-type").map(str::to_owned);
        let content_length = header("content-length").and_then(|text| text.trim().parse().ok());
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        loop {
            let chunk = match (response.chunk().await, self.responses) {
                (Ok(Some(chunk)), _) => chunk,
                // Its status is all that is wanted of it.
                (Ok(None), _) | (Err(_), Responses::CutAt(_)) => break,
                (Err(err), Responses::UpTo(_)) => return Err(failure(err)),
            };
            match self.responses {
                Responses::UpTo(most) if body.len() + chunk.len() > most => {
                    return Err(Failure::TooLarge);
                }
                Responses::CutAt(most) if body.len() + chunk.len() > most => break,
                Responses::UpTo(_) | Responses::CutAt(_) => {}
            }
            body.extend_from_slice(&chunk);
        }
        let body = body.freeze();
        Ok(Answer { status, retry_after, usage, location, content_type, content_length, body })
    }
}

/// For addresses that others name: only public ones, whatever a name resolves to.
fn guarded(connect_timeout: Duration, allows_private: bool) -> reqwest::ClientBuilder {
    let builder = builder(connect_timeout).no_proxy().pool_max_idle_per_host(0);
    if allows_private { builder } else { builder.dns_resolver(public::resolver()) }
}

/// What all clients have in common.
fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("dmrelay/", env!("CARGO_PKG_VERSION")))
}

/// Installs ring as the process's TLS provider, unless one is installed.
pub fn install_tls() {
    // An error means one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether the request may have arrived. The URL is stripped: it may contain a token.
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

/// `base` with these segments appended to its path, each percent-encoded.
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
    fn secrets_are_sent_to_no_stranger_in_the_clear() {
        for url in [
            "https://graph.facebook.com",
            "http://127.0.0.1:4010/graph",
            "http://[::1]:4010",
            "http://localhost:4010",
            "http://simulator:4010/graph",
            "http://10.1.2.3",
            "http://192.168.0.7:4010",
            "http://[fd00::1]:4010",
        ] {
            assert!(service_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://graph.facebook.com",
            "http://8.8.8.8",
            "http://[2001:db8::1]",
            "ftp://127.0.0.1",
            "graph",
            "",
        ] {
            assert!(service_url(url).is_err(), "{url}");
        }
    }

    /// Whatever a name resolves to by the time the call is made.
    #[tokio::test]
    async fn a_receiver_is_called_at_public_addresses_only() {
        let metrics = Arc::new(Metrics::new(crate::metrics::Process::Command).unwrap());
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://localhost:{}/", server.local_addr().unwrap().port())).unwrap();
        let call = Call::get(("receiver", "test"), url, Duration::from_secs(5));
        let guarded = Client::for_receivers(Duration::from_secs(5), false, metrics.clone()).unwrap();
        let refused = guarded.send(call.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("has no public address"), "{refused}");
        // Without the guard the call arrives.
        let free = Client::for_receivers(Duration::from_secs(5), true, metrics).unwrap();
        tokio::select! {
            accepted = server.accept() => assert!(accepted.is_ok()),
            answer = free.send(call) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn a_segment_cannot_change_the_path() {
        let base = Url::parse("http://host/graph/").unwrap();
        assert_eq!(join(&base, &["v25.0", "a/../b?c"]).as_str(), "http://host/graph/v25.0/a%2F..%2Fb%3Fc");
    }
}
