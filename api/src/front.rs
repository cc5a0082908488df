//! Middleware before the routes: limits per address, timeout, request log, CORS and security headers.

use crate::access::CallerCell;
use crate::limit;
use crate::problem::{Problem, Refused};
use crate::state::ApiState;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_runtime::ops::SECURITY_HEADERS;
use dmrelay_runtime::trace::{self, Parent, TraceId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

/// How long browsers may cache a CORS preflight response.
const CORS_AGE: Duration = Duration::from_hours(1);

/// The trace id of a call, which its log lines and spans carry.
const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

/// Limits the duration of a REST call, measures it, and logs it in one line.
pub(crate) async fn bounded(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
    let parent = given.and_then(Parent::from_header);
    let trace = parent.map_or_else(TraceId::random, |parent| parent.trace);
    request.extensions_mut().insert(trace);
    let span = || tracing::error_span!("request", trace_id = %trace);
    let span = match parent {
        Some(parent) => trace::follow(span(), parent),
        None => trace::begin(trace, span),
    };
    let mut response = answer(&state, request, next).instrument(span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let base = state.base();
        *response.body_mut() = Body::from(problem.document(Some(trace), base));
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    if let Ok(value) = HeaderValue::from_str(&trace.to_string()) {
        response.headers_mut().insert(TRACE_ID, value);
    }
    response
}

async fn answer(state: &ApiState, mut request: Request, next: Next) -> Response {
    let caller = CallerCell::default();
    request.extensions_mut().insert(caller.clone());
    let mut line = Line {
        state: state.clone(),
        started: Instant::now(),
        address: state.limits.address(peer(&request), request.headers()),
        route: request
            .extensions()
            .get::<MatchedPath>()
            .map_or_else(String::new, |path| path.as_str().to_owned()),
        method: request.method().clone(),
        caller,
        outcome: None,
    };
    let response = match tokio::time::timeout(state.options.api.api_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The request timed out").into_response()
        }
    };
    line.outcome = Some((response.status().as_u16(), response.extensions().get::<Refused>().cloned()));
    response
}

/// The log line of a call, written on drop: also of one whose caller hangs up.
struct Line {
    state: ApiState,
    started: Instant,
    address: IpAddr,
    route: String,
    method: Method,
    caller: CallerCell,
    outcome: Option<(u16, Option<Refused>)>,
}

/// The status of a call whose caller did not wait for the answer.
const CLIENT_GONE: u16 = 499;

impl Drop for Line {
    fn drop(&mut self) {
        let (status, refused) = self.outcome.take().unwrap_or((CLIENT_GONE, None));
        let Self { state, started, address, route, method, caller, .. } = self;
        // Excludes what all calls have in common.
        let call = route.rsplit("/instagram/").next().unwrap_or_default();
        let call = call.strip_prefix("/api/database/{subaccountId}/").unwrap_or(call);
        state
            .metrics
            .http_seconds
            .with_label_values(&[call, &status.to_string()])
            .observe(started.elapsed().as_secs_f64());
        let (caller, refused) = (caller.get(), refused.as_ref());
        if let Some(refused) = refused {
            state.metrics.http_refused.with_label_values(&[&status.to_string(), refused.kind]).inc();
        }
        let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        tracing::info!(
            %method, route, status, took_ms = millis(started.elapsed()), %address,
            principal = caller.and_then(|caller| caller.principal.as_deref()),
            subaccount = caller.and_then(|caller| caller.subaccount.as_ref().map(SubaccountId::as_str)),
            agent = caller.and_then(|caller| caller.agent.as_ref().map(AgentId::as_str)),
            reason = refused.map(|refused| refused.kind),
            why = refused.and_then(|refused| told(&refused.why)),
            "request"
        );
    }
}

/// A handler panicked: our bug, but the caller still gets a response.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The call failed").into_response()
}

/// The peer of a call. All our listeners provide it; without one, all calls share a limit.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Limits the call rate per address, before authentication.
pub(crate) async fn limited(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let rate = state.limits.check_address(state.limits.address(peer(&request), request.headers()));
    let mut response = if rate.allowed {
        next.run(request).await
    } else {
        // Counted and not logged: a line for each would be a flood.
        let response = Problem::rate_limited(&rate).into_response();
        if let Some(refused) = response.extensions().get::<Refused>() {
            let status = response.status().as_u16().to_string();
            state.metrics.http_refused.with_label_values(&[&status, refused.kind]).inc();
        }
        response
    };
    limit::write(response.headers_mut(), &[rate]);
    response
}

/// The origins that may call from a browser. Credentials are in a header the page sets, never in cookies.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let exposed = ["ratelimit", "ratelimit-policy", "idempotency-replayed", "trace-id", "etag"]
        .map(HeaderName::from_static);
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers(exposed.into_iter().chain([header::RETRY_AFTER]).collect::<Vec<_>>())
        .max_age(CORS_AGE);
    let origins: Vec<&str> = origins.iter().map(|origin| origin.trim()).filter(|o| !o.is_empty()).collect();
    if origins.contains(&"*") {
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin.trim_end_matches('/')).ok());
    layer.allow_origin(AllowOrigin::list(origins))
}

/// The longest answer that gets a tag, in bytes.
const TAGGED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Gives answers a weak `ETag`, and says 304 to who has the same one (RFC 9110, §8.8.3 and §13.1.2).
pub(crate) async fn tagged(request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let is_read = request.method() == Method::GET;
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_short = response.body().size_hint().exact().is_some_and(|size| size <= TAGGED_BYTES_MAX);
    if !is_read || response.status() != StatusCode::OK || kind != Some(b"application/json") || !is_short {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Its length is known, so it is in memory already.
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return panicked(Box::new(())) };
    let digest = dmrelay_domain::signature::sha256(&bytes);
    let tag = format!("W/\"{}\"", hex::encode(&digest[..16]));
    let is_same = known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == &tag[2..])
    });
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    if is_same {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Headers that restrict what a browser may do with a response (OWASP, "REST Security").
pub(crate) async fn secured(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if state.options.api.public_url.scheme() == "https" {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}
