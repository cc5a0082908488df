//! What the caller of a call with a fault sees.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::{Fault, FaultMode};

/// The response with the first UTF-16 unit alone of each character that has two.
async fn half_emojis(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut cut = String::new();
    for c in String::from_utf8_lossy(&bytes).chars() {
        match c.encode_utf16(&mut [0; 2]) {
            [first, _] => cut.extend(["\\u".to_owned(), format!("{first:04x}")]),
            _ => cut.push(c),
        }
    }
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, cut.into())
}

/// Applies a fault around a call. `refusal` creates the service's own error.
pub(crate) async fn play<Work, Refusal>(fault: Fault, work: Work, refusal: Refusal) -> Response
where
    Work: Future<Output = Response>,
    Refusal: FnOnce(&Fault) -> Response,
{
    let wait = Duration::from_millis(fault.delay_ms);
    let answer = match fault.mode {
        FaultMode::Slow => {
            tokio::time::sleep(wait).await;
            work.await
        }
        FaultMode::SlowAfter => {
            let answer = work.await;
            tokio::time::sleep(wait).await;
            answer
        }
        FaultMode::HalfEmoji => half_emojis(work.await).await,
        mode => {
            if matches!(mode, FaultMode::After | FaultMode::DropAfter | FaultMode::Partial) {
                work.await;
            }
            tokio::time::sleep(wait).await;
            match mode {
                FaultMode::DropBefore | FaultMode::DropAfter => return dropped_connection(),
                FaultMode::Status => status_of(&fault, StatusCode::INTERNAL_SERVER_ERROR).into_response(),
                FaultMode::OnlyId => axum::Json(serde_json::json!({ "id": "1" })).into_response(),
                FaultMode::Html => gateway_page(&fault),
                _ => refusal(&fault),
            }
        }
    };
    with_headers(answer, &fault.headers)
}

/// The status of a fault, or its default.
pub(crate) fn status_of(fault: &Fault, otherwise: StatusCode) -> StatusCode {
    fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(otherwise)
}

/// A response whose body fails before its first byte: hyper then closes the connection without having written
/// anything.
pub(crate) fn dropped_connection() -> Response {
    let broken =
        futures::stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    Response::new(Body::from_stream(broken))
}

fn gateway_page(fault: &Fault) -> Response {
    let page =
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
    (status_of(fault, StatusCode::BAD_GATEWAY), [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn with_headers(mut answer: Response, headers: &BTreeMap<String, String>) -> Response {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}
