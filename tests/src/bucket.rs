//! A bucket as S3 serves it, in memory: what the store of media asks of one (Amazon S3, "API reference": PutObject, GetObject, DeleteObject).

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// A running server with one bucket.
pub struct Bucket {
    /// Its address.
    pub url: Url,
    objects: Objects,
    server: JoinHandle<()>,
}

impl Bucket {
    /// Starts it, empty.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start() -> Result<Self> {
        let objects = Objects::default();
        let router = Router::new().fallback(serve).with_state(objects.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, objects, server })
    }

    /// The names of its objects, each with its bucket.
    pub fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    State(objects): State<Objects>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signature =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=bucket-key/") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let name = uri.path().trim_start_matches('/').to_owned();
    let missing = || {
        let xml = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
        (StatusCode::NOT_FOUND, xml).into_response()
    };
    let described = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Fri, 27 Nov 2026 10:00:00 GMT")];
    match method {
        Method::PUT => {
            objects.insert(name, body);
            ([(header::ETAG, "\"1\"")], ()).into_response()
        }
        // Several at once.
        Method::POST if uri.query().is_some_and(|query| query.starts_with("delete")) => {
            let wanted = String::from_utf8_lossy(&body).into_owned();
            let keys = wanted.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            let mut told = String::new();
            for key in keys {
                objects.remove(&format!("{name}/{key}"));
                told.extend(["<Deleted><Key>", key, "</Key></Deleted>"]);
            }
            format!("<DeleteResult>{told}</DeleteResult>").into_response()
        }
        Method::DELETE => {
            objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::GET => {
            let Some(whole) = objects.get(&name) else { return missing() };
            let range =
                headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes="));
            let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
                return (described, whole.clone()).into_response();
            };
            let from: usize = from.parse().unwrap_or_default();
            let to = to.parse().map_or(whole.len(), |to: usize| (to + 1).min(whole.len()));
            let told = format!("bytes {from}-{}/{}", to.saturating_sub(1), whole.len());
            (StatusCode::PARTIAL_CONTENT, described, [(header::CONTENT_RANGE, told)], whole.slice(from..to))
                .into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
