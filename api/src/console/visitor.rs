//! Who looks at a page: the person of a session, which the browser keeps in a cookie.

use super::call::is_of_script;
use super::{Seat, go_to};
use crate::access::{Credential, Principal};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Json, Response};
use dmrelay_console::Person;
use dmrelay_domain::actor::Actor;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ActivityId, SubaccountId, first_id_at};
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_domain::signature;
use serde_json::{Value, json};

/// The cookie with the token of the session.
pub(super) const COOKIE: &str = "dmrelay_console";

/// How far the database's clock may be behind, in milliseconds. Events that are told twice do no harm.
const SKEW: i64 = 2_000;

/// A person who is signed in.
pub(super) struct Visitor {
    pub(super) subaccount: SubaccountId,
    pub(super) role: Role,
    pub(super) actor: Actor,
    pub(super) credential: Credential,
    csrf: String,
    api: String,
    now: Millis,
}

/// Why nobody is signed in.
pub(super) struct Stranger(Response);

impl Stranger {
    /// Somebody who is told what is wrong.
    pub(super) fn of(problem: &Problem) -> Self {
        Self(super::trouble(problem))
    }
}

impl IntoResponse for Stranger {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Visitor {
    /// Whether the role includes the permission.
    pub(super) fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Fails if the role does not include the permission, as for REST.
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        if self.may(permission) { Ok(()) } else { Err(Problem::lacks(permission, Some(self.role))) }
    }

    /// Fails unless a form or a script of our pages sends this.
    pub(super) fn check_form(&self, headers: &HeaderMap, field: Option<&str>) -> Result<(), Problem> {
        let given = headers.get("x-csrf-token").and_then(|value| value.to_str().ok()).or(field);
        let is_ours = given.is_some_and(|given| signature::same(given.as_bytes(), self.csrf.as_bytes()));
        if is_ours {
            Ok(())
        } else {
            Err(Problem::forbidden().detail("the form has expired; load the page anew"))
        }
    }

    /// As the pages show them.
    pub(super) fn person(&self) -> Person {
        // Before anything is read; the clocks of two machines differ a little.
        let ActivityId(since) = first_id_at(self.now - SKEW);
        Person {
            name: self.actor.name.clone(),
            role: self.role,
            subaccount: self.subaccount.to_string(),
            csrf: self.csrf.clone(),
            api: self.api.clone(),
            since,
        }
    }
}

/// Whether a person is to see the answer as a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    !is_of_script(headers) && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// `GET /console/whoami`: for a page whose session had ended, who has signed in since.
pub(super) async fn whoami(visitor: Visitor) -> Json<Value> {
    let Person { csrf, name, subaccount, .. } = visitor.person();
    Json(json!({ "csrf": csrf, "name": name, "subaccount": subaccount }))
}

/// The token in the cookie.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, COOKIE)
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

/// What forms of this session carry. Nobody who does not have the token can know it.
fn csrf_of(token: &str) -> String {
    hex::encode(&signature::sha256(format!("form:{token}").as_bytes())[..16])
}

/// The person whose session it is.
pub(super) async fn recognize(state: &ApiState, headers: &HeaderMap) -> Result<Visitor, Problem> {
    let token = token(headers).ok_or_else(|| Problem::unauthenticated("sign in"))?;
    let (principal, subaccount, role) = Principal::of_session(state, token).await?;
    let rate = state.limits.check_principal(&principal.id);
    if !rate.allowed {
        return Err(Problem::rate_limited(&rate));
    }
    let (actor, credential) = (principal.actor(), principal.credential.clone());
    let api = state.base().to_owned();
    Ok(Visitor { subaccount, role, actor, credential, csrf: csrf_of(token), api, now: state.clock.now() })
}

impl FromRequestParts<ApiState> for Visitor {
    type Rejection = Stranger;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Stranger> {
        match recognize(state, &parts.headers).await {
            Ok(visitor) => {
                if let Some(Seat(seat)) = parts.extensions.get() {
                    let _ = seat.set(visitor.person());
                }
                Ok(visitor)
            }
            Err(problem) => {
                if is_of_script(&parts.headers) {
                    return Err(Stranger::of(&problem));
                }
                let is_stranger = problem.status() == axum::http::StatusCode::UNAUTHORIZED;
                if !wants_page(&parts.headers) {
                    return Err(Stranger(problem.into_response()));
                }
                if parts.method.is_safe() && is_stranger {
                    let whole = parts.uri.path_and_query().map_or("/console/inbox", |path| path.as_str());
                    let next: String = url::form_urlencoded::byte_serialize(whole.as_bytes()).collect();
                    return Err(Stranger(go_to(&format!("/console/sign-in?next={next}"))));
                }
                Err(Stranger::of(&problem))
            }
        }
    }
}
