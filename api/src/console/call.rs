//! What a form or a script of the pages asks for.

use super::visitor::{Stranger, Visitor};
use super::{go_to, html, trouble};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::response::Response;
use dmrelay_console::Markup;
use dmrelay_domain::trace::TraceId;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use url::form_urlencoded;

/// A call that changes something, of a person who is signed in and whose page it came from.
pub(super) struct Call<F> {
    pub(super) state: ApiState,
    pub(super) visitor: Visitor,
    pub(super) headers: HeaderMap,
    pub(super) trace: TraceId,
    /// What the form says.
    pub(super) fields: F,
}

impl<F> Call<F> {
    /// Fragments for a script; otherwise the browser goes to a page that shows what has become of it.
    pub(super) fn answer(&self, outcome: Result<Markup, Problem>, elsewhere: &str) -> Response {
        match outcome {
            Err(problem) => trouble(&problem),
            Ok(fragments) if is_of_script(&self.headers) => html(fragments),
            Ok(_) => go_to(elsewhere),
        }
    }
}

/// Whether a script asks, which wants fragments.
pub(super) fn is_of_script(headers: &HeaderMap) -> bool {
    headers.contains_key("x-fragment")
}

impl<F: DeserializeOwned> FromRequest<ApiState> for Call<F> {
    type Rejection = Stranger;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Stranger> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let refused = |problem: Problem| Stranger::of(&problem);
        let trace = parts.extensions.get().copied();
        let headers = parts.headers.clone();
        let body = Bytes::from_request(Request::from_parts(parts, Body::new(body)), state).await;
        let body =
            body.map_err(|_| refused(Problem::invalid("", "the form is too long, or came in part")))?;
        let token = form_urlencoded::parse(&body).find(|(name, _)| name == "csrf");
        let token = token.as_ref().map(|(_, value)| Cow::as_ref(value));
        visitor.check_form(&headers, token).map_err(refused)?;
        let fields = serde_urlencoded::from_bytes(&body)
            .map_err(|err| refused(Problem::invalid("", format!("the form cannot be read: {err}"))))?;
        Ok(Self {
            state: state.clone(),
            visitor,
            headers,
            trace: trace.unwrap_or_else(TraceId::random),
            fields,
        })
    }
}
