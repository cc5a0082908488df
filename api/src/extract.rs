//! Extractors for bodies, query strings and ids that report validation errors.

use crate::access::Tenant;
use crate::checks::Checks;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use dmrelay_domain::text::pointer_token;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use std::str::FromStr;
use url::form_urlencoded;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// An optional JSON body.
pub(crate) struct MaybeBody<T>(pub(crate) Option<T>);

/// A query string.
pub(crate) struct Params<T>(pub(crate) T);

/// The id at the end of a path, or before its last segment.
pub(crate) struct Id<I>(pub(crate) I);

impl<T: DeserializeOwned> FromRequest<ApiState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let checks = checks_of(&request);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        parse(&bytes, checks, state).await.map(Body)
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let checks = checks_of(&request);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        json?;
        parse(&bytes, checks, state).await.map(Self)
    }
}

/// HTML forms cannot send this content type, so other websites cannot forge calls in a user's name (CSRF).
fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body must be application/json",
    ))
}

/// The checks of this operation, and the tenant that calls it.
fn checks_of(request: &Request) -> Option<(Checks, Tenant)> {
    let extensions = request.extensions();
    extensions.get::<Checks>().cloned().zip(extensions.get::<Tenant>().cloned())
}

async fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    checks: Option<(Checks, Tenant)>,
    state: &ApiState,
) -> Result<T, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::malformed("the body is empty; it must be JSON"));
    }
    // Check the syntax first, to distinguish a malformed body from a wrong field.
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|err| {
        Problem::malformed(format!("the body is not JSON, at line {} column {}", err.line(), err.column()))
    })?;
    if let Some((checks, tenant)) = checks {
        checks.body((state, &tenant), &value).await?;
    }
    serde_path_to_error::deserialize(value).map_err(|err| {
        let what = err.inner().to_string();
        Problem::invalid(&pointer(err.path(), &what), what)
    })
}

/// The location of an error as a JSON pointer (RFC 6901). A missing or unknown field is named only by the
/// error message.
fn pointer(path: &Path, what: &str) -> String {
    let mut pointer: String = path
        .iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", pointer_token(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect();
    let named = ["missing field `", "unknown field `"].iter().find_map(|start| what.strip_prefix(start));
    if let Some((name, _)) = named.and_then(|rest| rest.split_once('`')) {
        let name = format!("/{}", pointer_token(name));
        if !pointer.ends_with(&name) {
            pointer.push_str(&name);
        }
    }
    pointer
}

fn unread(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large();
    }
    Problem::malformed("cannot read the body")
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if let Some((name, _)) =
            form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.contains('\0'))
        {
            return Err(Problem::parameter(&name, "must not contain U+0000"));
        }
        parts.extensions.get::<Checks>().map_or(Ok(()), |checks| checks.query(query))?;
        let fields = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(fields).map(Self).map_err(|err| {
            // Calls of the API were checked before, in the words of the API.
            let pointer = pointer(err.path(), &err.inner().to_string());
            let name = pointer.trim_start_matches('/');
            Problem::parameter(if name.is_empty() { "query" } else { name }, "is not valid")
        })
    }
}

impl<S: Send + Sync, I: FromStr> FromRequestParts<S> for Id<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::malformed("the path is not UTF-8"))?;
        // Subaccount and agent come first; the last parameter is the id.
        let (name, value) = params.iter().last().unwrap_or_default();
        value.parse().map(Self).map_err(|_| Problem::parameter(name, "must be a UUID"))
    }
}
