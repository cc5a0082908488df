//! The console: pages for people, on the same services, sessions and permissions as the REST API. The crate `dmrelay-console` renders
//! them.

mod accounts;
mod activity;
mod acts;
mod broadcasts;
mod call;
mod comments;
pub(crate) mod demo;
mod draft;
mod failed;
mod keys;
mod live;
mod media;
mod notifications;
pub(crate) mod oidc;
mod overview;
mod pages;
mod panel;
mod profile;
mod rules;
mod sign_in;
mod templates;
mod trace;
mod visitor;

use crate::front;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use dmrelay_console::{Markup, Person, assets};
use dmrelay_store::Connection;
use std::sync::{Arc, OnceLock};
use tower_http::catch_panic::CatchPanicLayer;

/// What a page may load: its own files. It runs no inline script and has no inline style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The longest form, in bytes: a message and what goes with it.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// The longest form with all rules of an account, or with cards: as long as a call of the API.
const LONG_FORM_BYTES_MAX: usize = 256 * 1024;

/// The pages.
pub(crate) fn router(state: &ApiState) -> Router<ApiState> {
    Router::new()
        .route("/console", get(|| async { Redirect::to("/console/inbox") }))
        .route("/console/", get(|| async { Redirect::to("/console/inbox") }))
        .route("/console/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/console/enter", get(sign_in::follow_link))
        .route("/console/oidc", get(oidc::begin))
        .route("/console/oidc/callback", get(oidc::callback_of))
        .route("/console/sign-out", post(sign_in::leave))
        .route("/console/inbox", get(pages::inbox))
        .route("/console/messages/{messageId}", get(pages::message))
        .route("/console/live", get(live::live))
        .route("/console/whoami", get(visitor::whoami))
        .route("/console/chats/{chatId}/trace", get(trace::show))
        .route("/console/chats/{chatId}/send", post(acts::send))
        .route("/console/chats/{chatId}/attach", post(acts::attach))
        .route("/console/chats/{chatId}/react", post(acts::react))
        .route("/console/chats/{chatId}/takeover", post(acts::take_over))
        .route("/console/chats/{chatId}/release", post(acts::release))
        .route("/console/chats/{chatId}/read", post(acts::read))
        .route("/console/chats/{chatId}/triage", post(panel::change))
        .route("/console/chats/{chatId}/notes", post(panel::add_note))
        .route("/console/chats/{chatId}/notes/{noteId}/delete", post(panel::delete_note))
        .route("/console/failed", get(failed::show))
        .route("/console/failed/many", post(failed::many))
        .route("/console/failed/{letterId}", get(failed::letter))
        .route("/console/failed/{letterId}/replay", post(failed::replay))
        .route("/console/failed/{letterId}/discard", post(failed::discard))
        .route("/console/drafts", post(draft::preview).layer(DefaultBodyLimit::max(LONG_FORM_BYTES_MAX)))
        .route("/console/templates", get(templates::show).post(templates::create))
        .route("/console/templates/{templateId}", post(templates::change))
        .route("/console/templates/{templateId}/remove", post(templates::remove))
        .route("/console/broadcasts", get(broadcasts::show).post(broadcasts::create))
        .route("/console/broadcasts/{broadcastId}/{deed}", post(broadcasts::act))
        .route("/console/comments", get(comments::show))
        .route("/console/comments/{commentId}/reply", post(comments::reply))
        .route("/console/comments/{commentId}/hide", post(comments::hide))
        .route("/console/accounts", get(accounts::show))
        .route("/console/accounts/sheet", get(accounts::sheet))
        .route("/console/accounts/connect", post(accounts::connect))
        .route("/console/accounts/{connectionId}", get(accounts::show_one))
        .route("/console/accounts/{connectionId}/login", post(accounts::log_in))
        .route("/console/accounts/{connectionId}/qr", get(accounts::qr))
        .route("/console/accounts/{connectionId}/profile", get(profile::show).post(profile::set))
        .route(
            "/console/accounts/{connectionId}/rules",
            get(rules::show).post(rules::set).layer(DefaultBodyLimit::max(LONG_FORM_BYTES_MAX)),
        )
        .route("/console/accounts/{connectionId}/{deed}", post(accounts::act))
        .route("/console/activity", get(activity::show))
        .route("/console/keys", get(keys::show).post(keys::create))
        .route("/console/keys/{keyId}/revoke", post(keys::revoke))
        .route("/console/media/{mediaId}", get(media::show))
        .route("/console/notifications", get(notifications::show).post(notifications::create))
        .route("/console/notifications/{targetId}/{deed}", post(notifications::act))
        .route("/console/overview", get(overview::show))
        .route("/console/demo/say", post(acts::say))
        .route("/console/demo/pass", post(acts::let_pass))
        .route("/console/demo/trouble", post(acts::make_trouble))
        .route("/console/{*nowhere}", any(nowhere))
        .layer(middleware::from_fn(private))
        .route("/console/assets/{digest}/{name}", get(asset))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(CatchPanicLayer::custom(front::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), front::bounded))
        .layer(middleware::from_fn_with_state(state.clone(), front::limited))
}

fn no_such_page() -> Problem {
    Problem::not_found("the console has no such page")
}

/// Whoever is signed in keeps the way to the other pages.
async fn nowhere(_: Result<visitor::Visitor, visitor::Stranger>) -> Problem {
    no_such_page()
}

/// Pages are for one person, and for nobody's frame. What went wrong is a page too, unless a script asked.
async fn private(mut request: Request, next: Next) -> Response {
    let wants_page = visitor::wants_page(request.headers());
    let seat = Seat::default();
    request.extensions_mut().insert(seat.clone());
    let mut response = next.run(request).await;
    let told = response.extensions().get::<Problem>().map(Problem::told);
    // What the framework says of an address that cannot be read is not for people.
    let is_unread = response.status() == StatusCode::BAD_REQUEST
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if is_unread {
        response = trouble(&no_such_page());
    }
    let words = response.extensions_mut().remove().map(|Told(words)| words).or(told).filter(|_| wants_page);
    if let Some(words) = words {
        // Nobody makes a document of it any more.
        response.extensions_mut().remove::<Problem>();
        let page = dmrelay_console::trouble(seat.0.get(), response.status().as_u16(), &words);
        *response.body_mut() = Html(page.into_string()).into_response().into_body();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    // Media have stricter ones.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    // With `no-referrer` browsers hide the origin of forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex"));
    response
}

async fn asset(Path((digest, name)): Path<(String, String)>) -> Response {
    let Some(asset) = assets::find(&digest, &name) else {
        return Problem::not_found("the console has no such file").into_response();
    };
    let headers =
        [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, asset.text).into_response()
}

/// An agent of the subaccount, to show calls that belong to one.
fn some_agent(connections: &[Connection]) -> &str {
    connections.first().map_or("AGENT_ID", |connection| connection.agent.as_str())
}

/// What people call an account: its handle, or its id while that is not known.
fn handle_of(connection: &Connection) -> &str {
    connection.row.username.as_deref().unwrap_or(connection.account.as_str())
}

/// A page, or fragments of one.
fn html(markup: Markup) -> Response {
    Html(markup.into_string()).into_response()
}

/// What went wrong, for people.
#[derive(Debug, Clone)]
struct Told(String);

/// Who looks at the page, once that is known.
#[derive(Clone, Default)]
struct Seat(Arc<OnceLock<Person>>);

/// What went wrong, as a fragment; [`private`] makes a page of it where one is wanted.
fn trouble(problem: &Problem) -> Response {
    let told = problem.told_of(dmrelay_console::words::field);
    let words = maud::html! { p class="problem" role="alert" { (told) } };
    let mut response = (problem.status(), Html(words.into_string())).into_response();
    response.extensions_mut().insert(Told(told));
    response
}

/// Sends the browser to a page that opens a dialog.
fn shown_in(page: &str, dialog: &str) -> Response {
    let sign = if page.contains('?') { '&' } else { '?' };
    let dialog: String = url::form_urlencoded::byte_serialize(dialog.as_bytes()).collect();
    go_to(&format!("{page}{sign}show={dialog}"))
}

/// Sends the browser elsewhere with GET.
fn go_to(address: &str) -> Response {
    match HeaderValue::from_str(address) {
        Ok(address) => (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/console/inbox")]).into_response(),
    }
}
