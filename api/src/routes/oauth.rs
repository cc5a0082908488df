//! Where people come back from Meta's login, and choose a Page: for browsers, without credentials. Who has the secret of a session may
//! go on with it, once.

use crate::connect::session::{self, Answer, Next, OfferedPage};
use crate::html::page;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use dmrelay_domain::states::PageChoice;
use dmrelay_domain::text::truncate;
use dmrelay_store::SessionEnd;
use dmrelay_store::entity::connect_session::Model;
use maud::{Markup, html};
use tracing::Instrument as _;
use url::{Url, form_urlencoded};

/// The form with which a Page is chosen.
pub(super) const CHOICE: &str = "/oauth/instagram/page";

/// Longest description of an error of Meta's that is told, in bytes.
const TOLD_MAX: usize = 300;

fn field(text: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(text.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// `GET /oauth/instagram/callback` (RFC 6749, section 4.1.2).
pub(super) async fn callback(State(state): State<ApiState>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let Some(secret) = field(&query, "state") else { return lost() };
    let answer = match (field(&query, "code"), field(&query, "error")) {
        (Some(code), None) => Answer::Code(code),
        (_, Some(error)) if error == "access_denied" => Answer::Denied,
        (_, error) => {
            // The second is what Facebook Login sends for faults of the app's own settings.
            let described = field(&query, "error_description").or_else(|| field(&query, "error_message"));
            let told = described.or(error).unwrap_or_else(|| "Meta sent no code".to_owned());
            Answer::Failed(truncate(&told, TOLD_MAX).to_owned())
        }
    };
    let shared = state.clone();
    let next = async move { session::come_back(&shared, &secret, answer).await };
    show(&state, to_its_end(next).await)
}

/// `POST /oauth/instagram/page`.
pub(super) async fn choose(State(state): State<ApiState>, body: String) -> Response {
    let (Some(secret), Some(chosen)) = (field(&body, "state"), field(&body, "page")) else { return lost() };
    let shared = state.clone();
    let next = async move {
        let claimed = session::claim_choice(&shared, &secret).await?;
        session::choose_page(&shared, claimed, &chosen).await
    };
    show(&state, to_its_end(next).await)
}

/// A code is good for one request: what it has begun is finished, even if the browser hangs up.
pub(super) async fn to_its_end(
    next: impl Future<Output = Result<Next, Problem>> + Send + 'static,
) -> Result<Next, Problem> {
    let gone = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The call failed");
    tokio::spawn(next.in_current_span()).await.map_err(gone)?
}

fn show(state: &ApiState, next: Result<Next, Problem>) -> Response {
    match next {
        Err(problem) => trouble(&problem),
        Ok(Next::Unknown) => lost(),
        Ok(Next::TooLate(session)) => too_late(state, &session),
        Ok(Next::Ended(session, end)) => ended(&session, &end),
        Ok(Next::ChoosePage { session, pages, secret, problem }) => {
            if session.page_choice == PageChoice::Frontend {
                return back(&session, "choose_page", None)
                    .unwrap_or_else(|| ask(&session, &pages, &secret, None));
            }
            ask(&session, &pages, &secret, problem.as_ref())
        }
    }
}

/// Sends the browser back to the frontend, which reads the rest from the session.
fn back(session: &Model, status: &str, error: Option<&str>) -> Option<Response> {
    let mut url = Url::parse(session.return_url.as_deref()?).ok()?;
    url.query_pairs_mut()
        .append_pair("connectSession", &session.id.to_string())
        .append_pair("connectStatus", status)
        .extend_pairs(error.map(|error| ("connectError", error)));
    // Browsers would keep the `#_` with which Meta has sent them here.
    if url.fragment().is_none() {
        url.set_fragment(Some(""));
    }
    Some(Redirect::to(url.as_str()).into_response())
}

fn ended(session: &Model, end: &SessionEnd) -> Response {
    let (status, error) = match end {
        SessionEnd::Connected(_) => ("connected", None),
        SessionEnd::Cancelled => ("cancelled", None),
        SessionEnd::Failed { error, .. } => ("failed", Some(error.as_str())),
    };
    if let Some(response) = back(session, status, error) {
        return response;
    }
    match end {
        SessionEnd::Connected(_) => {
            let body = html! { p { "Its messages are answered from now on. You can close this window." } };
            page(StatusCode::OK, "The account is connected", &body, &[])
        }
        SessionEnd::Cancelled => {
            let body =
                html! { p { "Nothing was changed. To connect the account after all, ask for a new link." } };
            page(StatusCode::OK, "The account was not connected", &body, &[])
        }
        SessionEnd::Failed { detail, .. } => {
            let body = html! {
                p.problem { (detail) }
                p { "Nothing was changed. To try again, ask for a new link." }
            };
            page(StatusCode::UNPROCESSABLE_ENTITY, "The account was not connected", &body, &[])
        }
    }
}

fn ask(session: &Model, pages: &[OfferedPage], secret: &str, problem: Option<&Problem>) -> Response {
    let body: Markup = html! {
        @if let Some(problem) = problem {
            p.problem { (problem.told()) }
        }
        form method="post" action=(CHOICE) {
            input type="hidden" name="state" value=(secret);
            fieldset {
                legend { "The Instagram account linked to this Page will be connected." }
                @for offered in pages {
                    label {
                        input type="radio" name="page" value=(offered.id) required;
                        span {
                            (offered.name.as_deref().unwrap_or(&offered.id))
                            @if let Some(username) = &offered.username { " " small { "@" (username) } }
                        }
                    }
                }
            }
            button type="submit" { "Connect" }
        }
    };
    let origin = session.return_url.as_deref().and_then(|url| Url::parse(url).ok());
    let origin = origin.map(|url| url.origin().ascii_serialization());
    page(StatusCode::OK, "Choose a Facebook Page", &body, &Vec::from_iter(origin))
}

fn too_late(state: &ApiState, session: &Model) -> Response {
    use dmrelay_domain::states::ConnectSessionStatus::{Connected, Expired};
    let status = session::status_of(state, session);
    match status {
        Some(Expired) => {
            if let Some(response) = back(session, "expired", None) {
                return response;
            }
            let body = html! { p { "Links are valid for a few minutes. Ask for a new one." } };
            page(StatusCode::GONE, "The link has expired", &body, &[])
        }
        Some(Connected) => {
            let body = html! { p { "You can close this window." } };
            page(StatusCode::OK, "The account is connected", &body, &[])
        }
        _ => {
            let body = html! { p { "Each link is good for one login. Ask for a new one." } };
            page(StatusCode::CONFLICT, "This link has already been used", &body, &[])
        }
    }
}

fn lost() -> Response {
    let body =
        html! { p { "This login was not started here, or its link was deleted. Ask for a new link." } };
    page(StatusCode::BAD_REQUEST, "Unknown link", &body, &[])
}

fn trouble(problem: &Problem) -> Response {
    let body = html! {
        p.problem { (problem.told()) }
        p { "Load this page again in a minute. If that does not help, ask for a new link." }
    };
    page(problem.status(), "Something went wrong", &body, &[])
}
