//! `Idempotency-Key` on writes (draft-ietf-httpapi-idempotency-key-header): the first call with a key runs,
//! and repeated calls get its response. Responses are stored encrypted, because one of them contains a new
//! API key.

use crate::bodies::Share;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::{Begun, WriteKey};
use dmrelay_vault::Place;
use std::time::Duration;
use tracing::Instrument as _;
use uuid::Uuid;

/// Maximum length of a key.
pub(crate) const KEY_MAX: usize = 255;

/// Marks a response that was replayed.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Maximum size of a stored response, in bytes.
const RESPONSE_BYTES_MAX: usize = 1024 * 1024;

/// How much longer than the call timeout a key stays locked.
const LOCK_MARGIN: Duration = Duration::from_secs(10);

/// The client's key, if it sent one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        Problem::parameter("Idempotency-Key", format!("must be 1 to {KEY_MAX} visible ASCII characters"))
    })
}

/// Runs a write once per key; without a key it always runs.
pub(crate) async fn once(
    state: &ApiState,
    (subaccount, principal): (&SubaccountId, &str),
    (request, body): (Request, Share),
    next: Next,
) -> Response {
    let key = match key(request.headers()) {
        Ok(Some(key)) => key,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    let key = WriteKey { subaccount: subaccount.clone(), principal: principal.to_owned(), key };
    run(state, key, (request, body), next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run(
    state: &ApiState,
    key: WriteKey,
    (request, share): (Request, Share),
    next: Next,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, state.options.api.api_max_bytes).await.map_err(|_| Problem::too_large())?;
    // The full path: the path seen by a nested router lacks the subaccount and the agent.
    let path = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let asked = [parts.method.as_str().as_bytes(), path.to_string().as_bytes(), &body].join(&0);
    let fingerprint = dmrelay_domain::signature::sha256(&asked);
    let lock = state.options.api.api_timeout + LOCK_MARGIN;
    let kept = state.options.limits.idempotency_time;
    match state.store.begin_write(&key, &fingerprint, lock, kept).await? {
        Begun::Run(id) => {
            let request = Request::from_parts(parts, Body::from(body));
            // Continues after the client disconnects, so that a repeated call finds the response.
            let running = keep(state.clone(), id, next.run(request));
            let running = async move {
                let response = running.await;
                drop(share);
                response
            };
            tokio::spawn(running.in_current_span())
                .await
                .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The call failed"))
        }
        Begun::Answered { id, status, response } => answered(state, id, (status, &response)),
        Begun::UnderWay => {
            let title = "A call with this Idempotency-Key is in progress";
            Err(Problem::new(StatusCode::CONFLICT, "idempotency-key-in-use", title).retry_after(1))
        }
        Begun::Different => Err(reused()),
    }
}

/// The key was used for a different request.
pub(crate) fn reused() -> Problem {
    let title = "This Idempotency-Key was used for a different request";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title)
}

fn place(id: Uuid) -> Place {
    Place { table: "idempotency_keys", column: "response", row: id }
}

/// Stores the response, unless a retry may succeed.
async fn keep(state: ApiState, id: Uuid, running: impl Future<Output = Response>) -> Response {
    // Must end before the lock expires and another call may run.
    let Ok(response) = tokio::time::timeout(state.options.api.api_timeout, running).await else {
        tracing::error!("write with an Idempotency-Key timed out");
        let title = "The request timed out";
        return Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", title).into_response();
    };
    let (parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, RESPONSE_BYTES_MAX).await else {
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The response is too large")
            .into_response();
    };
    let passing = parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS;
    let kept = if passing {
        state.store.forget_write(id).await
    } else {
        state.store.finish_write(id, parts.status.as_u16(), &state.vault.seal(place(id), &body)).await
    };
    if let Err(err) = kept {
        tracing::error!(error = %err, "cannot store the response to a write with an Idempotency-Key");
    }
    Response::from_parts(parts, Body::from(body))
}

fn answered(state: &ApiState, id: Uuid, (status, sealed): (u16, &[u8])) -> Result<Response, Problem> {
    let body = state.vault.open(place(id), sealed).map_err(|err| {
        tracing::error!(error = %err, "cannot decrypt a stored response");
        let title = "The call was made, but its response is no longer available";
        Problem::new(StatusCode::CONFLICT, "idempotency-answer-lost", title)
    })?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let json = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, Bytes::copy_from_slice(body.expose())).into_response();
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(json));
    }
    mark_replayed(&mut response);
    Ok(response)
}

/// Says that a response is that of an earlier call.
pub(crate) fn mark_replayed(response: &mut Response) {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
}
