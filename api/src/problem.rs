//! Errors as problem documents (RFC 9457), with a stable `type` each.

mod kinds;

use kinds::Extras;
pub(crate) use kinds::{KINDS, PAGE, schemas};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_instagram::links::InvalidLink;
use dmrelay_runtime::trace::TraceId;
use dmrelay_store::Error;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<ValidationError>,
    more: Map<String, Value>,
    retry_after: Option<u64>,
}

/// A fault of a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Fault)]
pub(crate) struct ValidationError {
    /// JSON pointer (RFC 6901) into the body; empty for the whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/instagramUserId")]
    pointer: Option<String>,
    /// Name of the path, query or header parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// What is wrong.
    detail: String,
}

/// Collects validation errors, so that a caller sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct ValidationErrors(Vec<ValidationError>);

/// The prefix of every `type`.
const TYPES: &str = "urn:dmrelay:problem:";

impl ValidationErrors {
    /// Adds an error about the body.
    pub(crate) fn at(&mut self, pointer: &str, what: impl Into<String>) {
        self.0.push(ValidationError {
            pointer: Some(pointer.to_owned()),
            parameter: None,
            detail: what.into(),
        });
    }

    /// Adds an error about a parameter.
    pub(crate) fn parameter(&mut self, name: &str, what: impl Into<String>) {
        self.0.push(ValidationError { pointer: None, parameter: Some(name.to_owned()), detail: what.into() });
    }

    /// Adds the error of a part of the body, if it is one.
    pub(crate) fn check<T>(
        &mut self,
        pointer: &str,
        checked: Result<T, impl std::fmt::Display>,
    ) -> Option<T> {
        checked.map_err(|err| self.at(pointer, err.to_string())).ok()
    }

    /// Adds the error of a parameter, if it is one.
    pub(crate) fn check_parameter<T>(
        &mut self,
        name: &str,
        checked: Result<T, impl std::fmt::Display>,
    ) -> Option<T> {
        checked.map_err(|err| self.parameter(name, err.to_string())).ok()
    }

    /// Adds those errors of the body whose places are wanted.
    pub(crate) fn take(&mut self, others: Self, wants: impl Fn(&str) -> bool) {
        self.0.extend(others.0.into_iter().filter(|one| one.pointer.as_deref().is_some_and(&wants)));
    }

    /// Fails if there are errors.
    pub(crate) fn end(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::of_errors(self.0)) }
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        debug_assert!(
            kinds::kind_of(kind).is_some_and(|known| known.statuses.contains(&status.as_u16())),
            "{status} {kind} is not in the table of problems"
        );
        Self(Box::new(Parts {
            status,
            kind,
            title,
            detail: String::new(),
            errors: Vec::new(),
            more: Map::new(),
            retry_after: None,
        }))
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The word of its type.
    pub(crate) fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// What it tells people.
    pub(crate) fn told(&self) -> String {
        let Parts { title, detail, .. } = &*self.0;
        if detail.is_empty() { (*title).to_owned() } else { format!("{title}: {detail}") }
    }

    /// The same at a form, whose fields have these names.
    pub(crate) fn told_of(&self, field: impl Fn(&str) -> Option<&'static str>) -> String {
        let Parts { errors, .. } = &*self.0;
        let told = errors.iter().map(|fault| {
            match fault.pointer.as_deref().or(fault.parameter.as_deref()).and_then(&field) {
                Some(name) => format!("{name}: {}", fault.detail),
                None => fault.detail.clone(),
            }
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let mut letters = told.chars();
        match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect::<String>() + ".",
            None => self.told(),
        }
    }

    fn of_errors(errors: Vec<ValidationError>) -> Self {
        let describe = |fault: &ValidationError| {
            let place = fault.pointer.as_deref().or(fault.parameter.as_deref()).unwrap_or_default();
            if place.is_empty() { fault.detail.clone() } else { format!("{place}: {}", fault.detail) }
        };
        let detail = errors.iter().map(describe).collect::<Vec<_>>().join("; ");
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid")
                .detail(detail);
        problem.0.errors = errors;
        problem
    }

    /// A validation error at `pointer`, a JSON pointer into the body.
    pub(crate) fn invalid(pointer: &str, what: impl Into<String>) -> Self {
        let mut errors = ValidationErrors::default();
        errors.at(pointer, what);
        Self::of_errors(errors.0)
    }

    /// A validation error of a path, query or header parameter.
    pub(crate) fn parameter(name: &str, what: impl Into<String>) -> Self {
        let mut errors = ValidationErrors::default();
        errors.parameter(name, what);
        Self::of_errors(errors.0)
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "The request is malformed").detail(detail)
    }

    pub(crate) fn unauthenticated(why: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A valid API key or token is required")
            .detail(why)
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The caller lacks the permission")
    }

    /// The caller needs this permission. Their role is told only in a subaccount where they have one.
    pub(crate) fn lacks(permission: Permission, role: Option<Role>) -> Self {
        let mut problem = Self::forbidden().with("permission", permission.as_str());
        let detail = match role {
            None => format!("requires {permission} in this subaccount"),
            Some(role) => {
                problem = problem.with("role", role.as_str());
                format!("requires {permission}, which the role {role} does not include")
            }
        };
        problem.detail(detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found").detail(what)
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large")
    }
}

impl From<Error> for Problem {
    fn from(err: Error) -> Self {
        tracing::error!(error = %err, "database call failed");
        if err.is_refusal() {
            let title = "The request contains data that cannot be stored";
            return Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", title);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", "The database is unavailable")
            .retry_after(1)
    }
}

/// Links are built from the request's `ref`.
impl From<InvalidLink> for Problem {
    fn from(err: InvalidLink) -> Self {
        Self::parameter("ref", err.to_string())
    }
}

/// Why a call was refused, for the log and the metrics: the word of its type and, for 401, what was wrong.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) kind: &'static str,
    pub(crate) why: String,
}

impl Problem {
    /// The document; `trace` is the id of the call, and `base` this server's URL, without a slash at the end.
    pub(crate) fn document(&self, trace: Option<TraceId>, base: &str) -> String {
        let Parts { status, kind, title, detail, errors, more, .. } = &*self.0;
        debug_assert!(
            kinds::kind_of(kind).is_some_and(|known| {
                let members = known.extras.members();
                more.keys().all(|name| members.iter().any(|(member, _)| member == name))
            }),
            "{kind} has members that are not in the table of problems: {more:?}"
        );
        let mut body = more.clone();
        body.insert("type".to_owned(), json!(format!("{TYPES}{kind}")));
        body.insert("code".to_owned(), json!(kind));
        body.insert("title".to_owned(), json!(title));
        body.insert("status".to_owned(), json!(status.as_u16()));
        body.insert("docUrl".to_owned(), json!(format!("{base}{PAGE}#{kind}")));
        if !detail.is_empty() {
            body.insert("detail".to_owned(), json!(detail));
        }
        if !errors.is_empty() || kinds::kind_of(kind).is_some_and(|known| known.extras == Extras::Errors) {
            body.insert("errors".to_owned(), json!(errors));
        }
        if let Some(trace) = trace {
            body.insert("traceId".to_owned(), json!(trace.to_string()));
        }
        Value::Object(body).to_string()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = self.document(None, "");
        let Parts { status, kind, retry_after, .. } = &*self.0;
        let (status, kind, retry_after) = (*status, *kind, *retry_after);
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], json).into_response();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            response.extensions_mut().insert(Refused { kind, why: self.0.detail.clone() });
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For the middleware that knows the call's trace.
        response.extensions_mut().insert(self);
        response
    }
}
