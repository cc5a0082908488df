//! `GET /api/openapi.json`, and `GET /api/docs`, a page that shows it without external resources.

use super::guide::{self, GUIDE};
use crate::console::demo::Demo;
use crate::html;
use crate::problem::{KINDS, PAGE};
use crate::state::ApiState;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// The path of the document.
const DOCUMENT: &str = "/api/openapi.json";

/// What the page may load: its own files; its script sets styles on elements and draws with data URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The script that starts the page, and its icon.
const START: &str = include_str!("docs/start.js");
const ICON: &str = include_str!("docs/icon.svg");

/// The customer of the examples.
const EXAMPLE_CUSTOMER: &str = "200000000000001";

/// The document and the page.
pub(super) fn router(document: &Value, state: &ApiState) -> Router<ApiState> {
    let mut document = document.clone();
    let base = state.base().to_owned();
    document["servers"] = json!([{ "url": base, "description": "This server" }]);
    if let Some(demo) = &state.options.demo {
        fill_in(&mut document, demo);
    }
    let text = match &state.options.demo {
        // Calls can be tried as they stand.
        Some(demo) => document.to_string().replace(EXAMPLE_CUSTOMER, demo.customer.user()),
        None => document.to_string(),
    };
    let text = Bytes::from(text);
    let config = Arc::new(Config::from(DOCUMENT));
    Router::new()
        .route(
            DOCUMENT,
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.clone()) }),
        )
        .route(PAGE, get(|| async { problems() }))
        .route(GUIDE, get(|State(state): State<ApiState>| async move { guide::page(&state) }))
        .route(
            &format!("{GUIDE}/{{name}}"),
            get(|Path(name): Path<String>| async move { guide::document(&name) }),
        )
        .route("/api/docs", get(|| async { Redirect::permanent("/api/docs/") }))
        .route("/api/docs/", get(|| async { index() }))
        .route("/api/docs/start.js", get(|| async { own("text/javascript", START) }))
        .route("/api/docs/icon.svg", get(|| async { own("image/svg+xml", ICON) }))
        .route("/api/docs/{*path}", get(move |Path(path): Path<String>| async move { file(&path, config) }))
}

/// The kinds of problems, for whoever follows a `docUrl`.
fn problems() -> Response {
    let body = maud::html! {
        p class="quiet" { "Errors of the API are problem documents (RFC 9457). Their " code { "code" } " is one of these words." }
        dl {
            @for kind in KINDS {
                dt id=(kind.code) { code { (kind.code) } " " small { @for status in kind.statuses { (status) " " } } }
                dd { @for (index, part) in kind.when.split('`').enumerate() {
                    @if index % 2 == 0 { (part) } @else { code { (part) } }
                } }
            }
        }
    };
    html::page(StatusCode::OK, "Problems", &body, &[])
}

/// The values of the demo as defaults of the path parameters.
fn fill_in(document: &mut Value, demo: &Demo) {
    for item in document["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item) {
        for parameter in item["parameters"].as_array_mut().into_iter().flatten() {
            let value = match parameter["name"].as_str() {
                Some("subaccountId") => &demo.subaccount,
                Some("agentId") => &demo.agent,
                _ => continue,
            };
            parameter["schema"]["default"] = json!(value);
        }
    }
}

/// The page.
fn index() -> Response {
    let page = maud::html! {
        (maud::DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "dmrelay API" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="swagger-ui.css";
            }
            body {
                nav style="font:1rem/1.5 system-ui,sans-serif;padding:.75rem 1.25rem" {
                    strong { "dmrelay API" } " · "
                    a href=(DOCUMENT) { "OpenAPI document" } " · "
                    a href=(GUIDE) { "First calls" } " · "
                    a href=(PAGE) { "Problems" } " · "
                    a href="/console" { "Console" }
                }
                div id="swagger-ui" {}
                script src="swagger-ui-bundle.js" {}
                script src="start.js" {}
            }
        }
    };
    own("text/html; charset=utf-8", page.into_string())
}

/// A file of our own.
fn own(kind: &'static str, text: impl Into<Bytes>) -> Response {
    let policy = HeaderValue::from_static(POLICY);
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_SECURITY_POLICY, policy)],
        text.into(),
    )
        .into_response()
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
