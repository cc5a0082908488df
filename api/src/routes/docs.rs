//! `GET /api/openapi.json`, and `GET /api/docs`, a page that shows it without external resources.

use crate::state::ApiState;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// The path of the document.
const DOCUMENT: &str = "/api/openapi.json";

/// What the page may load: its own files; its script sets styles on elements and draws with data URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The document and the page.
pub(super) fn router(document: &Value) -> Router<ApiState> {
    let text = Bytes::from(document.to_string());
    let config = Arc::new(Config::from(DOCUMENT));
    Router::new()
        .route(
            DOCUMENT,
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.clone()) }),
        )
        .route("/api/docs", get(|| async { Redirect::permanent("/api/docs/") }))
        .route(
            "/api/docs/",
            get({
                let config = config.clone();
                move || async move { file("index.html", config) }
            }),
        )
        .route("/api/docs/{*path}", get(move |Path(path): Path<String>| async move { file(&path, config) }))
}

/// A file of the page (Swagger UI, compiled into the binary).
fn file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => {
            // The files are part of the binary and not copied per call.
            let bytes = match file.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            };
            let mut response = bytes.into_response();
            let kind = HeaderValue::try_from(file.content_type);
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                kind.unwrap_or(HeaderValue::from_static("application/octet-stream")),
            );
            let policy = HeaderValue::from_static(POLICY);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
        Ok(None) => crate::problem::Problem::not_found("the page has no such file").into_response(),
        Err(err) => {
            tracing::error!(error = %err, "cannot read a file of the documentation page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
