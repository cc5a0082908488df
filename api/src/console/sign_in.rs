//! Signing in and out. A session of the console is a session as a backend makes one for the people of its frontend.

use super::call::Call;
use super::visitor::{COOKIE, recognize};
use super::{go_to, html};
use crate::access::Principal;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dmrelay_console::{SignIn, sign_in, words};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::api_key;
use dmrelay_domain::ids::{SessionId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_store::NewSession;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// How long a person stays signed in.
const SESSION_TIME: Duration = Duration::from_hours(12);

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    next: Option<String>,
    code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    name: String,
    key: String,
    #[serde(default)]
    subaccount: String,
    #[serde(default)]
    next: String,
}

/// `GET /console/sign-in`.
pub(super) async fn show(State(state): State<ApiState>, Params(query): Params<Query>) -> Response {
    html(sign_in(&SignIn {
        next: query.next.unwrap_or_default(),
        with: provider(&state),
        ..SignIn::default()
    }))
}

/// What the identity provider is called, if there is one.
fn provider(state: &ApiState) -> Option<String> {
    Some(state.oidc.as_ref()?.name().to_owned())
}

/// `POST /console/sign-in`: an API key becomes a session of a person.
pub(super) async fn enter(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Form(entry): Form<Entry>,
) -> Response {
    let (name, with) = (entry.name.clone(), provider(&state));
    let page = SignIn { name, next: entry.next.clone(), with, ..SignIn::default() };
    let next = local(&entry.next);
    let answer = match check_origin(&state, &headers) {
        Ok(()) => begin_with_key(&state, entry).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(cookie) => with_cookie(go_to(&next), cookie),
        Err(problem) => {
            let markup = sign_in(&SignIn { problem: Some(problem.told()), ..page });
            let mut response = html(markup);
            *response.status_mut() = problem.status();
            response
        }
    }
}

/// `GET /console/enter?code=…`: the link that the quick start prints.
pub(super) async fn follow_link(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let code = query.code.unwrap_or_default();
    if let Some(demo) = state.options.demo.as_ref().filter(|demo| demo.redeem(&code)) {
        let subaccount = SubaccountId::parse(&demo.subaccount).map_err(|_| Problem::not_found("the demo"))?;
        let system = Actor::from("system");
        let cookie = begin(&state, (subaccount, Role::Owner), Who::named("You"), (&system, None)).await?;
        return Ok(with_cookie(go_to("/console/inbox"), cookie));
    }
    if recognize(&state, &headers).await.is_ok() {
        return Ok(go_to("/console/inbox"));
    }
    let problem = Some(words::LINK_IS_OLD.to_owned());
    let mut response = html(sign_in(&SignIn { problem, ..SignIn::default() }));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
}

/// `POST /console/sign-out`: the session ends.
pub(super) async fn leave(Call { state, visitor, .. }: Call<IgnoredAny>) -> Result<Response, Problem> {
    if let crate::access::Credential::Session(hash) = &visitor.credential
        && let Some(session) = state.store.session(hash).await?
    {
        state.store.revoke_session(&visitor.subaccount, session.id, &visitor.actor).await?;
    }
    Ok(with_cookie(go_to("/console/sign-in"), cookie(&state, "", Duration::ZERO)))
}

/// Other sites must not sign somebody in as somebody else.
fn check_origin(state: &ApiState, headers: &HeaderMap) -> Result<(), Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_ours = match header("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        // Browsers omit it without https.
        None => header("origin").is_none_or(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            origin == state.options.api.public_url.origin().ascii_serialization() || host == header("host")
        }),
    };
    if is_ours { Ok(()) } else { Err(Problem::forbidden().detail("the form came from another site")) }
}

async fn begin_with_key(state: &ApiState, entry: Entry) -> Result<HeaderValue, Problem> {
    let name = entry.name.trim();
    if !api_key::is_name_of_person(name) {
        return Err(Problem::invalid(
            "/name",
            "must be 1 to 100 bytes of printable text, and no reserved name such as system",
        ));
    }
    let principal = Principal::of_credential(state, entry.key.trim()).await?;
    let demo = state.options.demo.as_ref().map(|demo| demo.subaccount.as_str());
    let named = Some(entry.subaccount.trim()).filter(|text| !text.is_empty()).or(demo);
    let subaccount = match (principal.only_subaccount(), named) {
        (Some(only), _) => only,
        (None, Some(named)) => {
            SubaccountId::parse(named).map_err(|err| Problem::invalid("/subaccount", err.why))?
        }
        (None, None) => return Err(Problem::invalid("/subaccount", "the bootstrap key needs a subaccount")),
    };
    let role = principal.role_in(&subaccount).ok_or_else(Problem::forbidden)?;
    let key_hash = match &principal.credential {
        crate::access::Credential::Key(hash) => Some(*hash),
        crate::access::Credential::OfSettings => None,
        _ => return Err(Problem::unauthenticated("sign in with an API key")),
    };
    begin(state, (subaccount, role), Who::named(name), (&principal.actor(), key_hash)).await
}

/// Who signs in.
pub(super) struct Who {
    /// By which they are known to the pages: what they have read, and what is assigned to them.
    pub(super) subject: String,
    pub(super) name: String,
}

impl Who {
    /// Somebody who is known by a name only.
    fn named(name: &str) -> Self {
        Self { subject: format!("console:{name}"), name: name.to_owned() }
    }
}

/// Begins a session of a person.
pub(super) async fn begin(
    state: &ApiState,
    (subaccount, role): (SubaccountId, Role),
    Who { subject, name }: Who,
    (by, key_hash): (&Actor, Option<[u8; 32]>),
) -> Result<HeaderValue, Problem> {
    let (token, hash) = api_key::generate_session();
    let limits = &state.options.limits;
    let time = SESSION_TIME.min(limits.session_time_max);
    let new = NewSession {
        id: SessionId::new(),
        subaccount,
        subject,
        name,
        // Unlike the sessions that a backend hands to browsers, this one's token is out of reach of scripts: owners stay owners.
        role,
        hash,
        key_hash,
        time,
    };
    if state.store.create_session(&new, limits.sessions_per_subaccount, by).await?.is_none() {
        let title = "The subaccount has too many sessions";
        return Err(Problem::new(StatusCode::CONFLICT, "too-many-sessions", title));
    }
    Ok(cookie(state, &token, time))
}

fn cookie(state: &ApiState, token: &str, time: Duration) -> HeaderValue {
    let secure = if state.options.api.public_url.scheme() == "https" { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={token}; Path=/console; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
        time.as_secs()
    );
    // Tokens are letters, digits and underscores.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

pub(super) fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response.into_response()
}

/// An address of the console, whatever was asked for.
pub(super) fn local(next: &str) -> String {
    let is_ours = next.starts_with("/console/") && !next.contains(['\\', '\r', '\n']);
    if is_ours { next.to_owned() } else { "/console/inbox".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn people_are_sent_nowhere_else() {
        assert_eq!(local("/console/inbox?folder=failed"), "/console/inbox?folder=failed");
        for odd in ["", "https://evil.example", "//evil.example", "/console\\..\\x", "/console/\r\nx: y"] {
            assert_eq!(local(odd), "/console/inbox", "{odd:?}");
        }
    }
}
