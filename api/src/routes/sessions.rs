//! `…/sessions`: short-lived tokens for the people who use a frontend.

use super::paging;
use crate::access::{Credential, Tenant};
use crate::extract::{Body, Id, Params};
use crate::problem::{Problem, ValidationErrors};
use crate::services::keys;
use crate::state::ApiState;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::api_key;
use dmrelay_domain::clock::duration;
use dmrelay_domain::ids::SessionId;
use dmrelay_domain::permission::Role;
use dmrelay_store::NewSession;
use dmrelay_views::{List, SessionView, enums};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// A person who is to use the API with a token of their own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateSession {
    /// The person, as your backend identifies them: an id or an e-mail address. Sessions of one subject are the same person.
    #[schema(min_length = 1, max_length = 100, example = "ada@example.com")]
    subject: String,
    /// The person's name, as messages and activities show it.
    #[schema(min_length = 1, max_length = 100, example = "Ada Byron")]
    name: String,
    /// What the person may do; not `owner`. `viewer` if omitted.
    #[schema(schema_with = enums::session_role)]
    #[serde(default = "least_role")]
    role: String,
    /// Lifetime in seconds: at most `SESSION_TIME_MAX` (12 hours); `SESSION_TIME` (60 minutes) if omitted. Created with a JWT, a session
    /// ends with it at the latest.
    #[schema(minimum = 1, example = 3_600)]
    ttl: Option<u32>,
}

/// A new session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionCreated {
    session_id: Uuid,
    /// The token, to be sent as `Authorization: Bearer`. It is shown only in this response.
    #[schema(example = "dms_…")]
    token: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

fn least_role() -> String {
    Role::Viewer.to_string()
}

/// Lists the sessions that have not ended, newest first
#[utoipa::path(get, path = "/sessions", tag = "Sessions", operation_id = "listSessions", params(Query),
    responses((status = 200, description = "A page of sessions", body = List<SessionView>)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Json<List<SessionView>>, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let before = paging::read_id(query.cursor.as_deref(), &mut errors);
    errors.end()?;
    let page = state.store.sessions(&tenant.subaccount, (before, limit, skip)).await?;
    Ok(Json(List::of(page, (limit, skip), SessionView::of, paging::write_id)))
}

/// Creates a session for one person
///
/// For a backend with an API key whose frontend runs in browsers: the token is the person's own and short-lived, so that no API key
/// gets into a browser. Messages and activities name the person. The session ends with its time, when it is revoked, or with the
/// API key it was made with. A session cannot create sessions.
#[utoipa::path(post, path = "/sessions", tag = "Sessions", operation_id = "createSession", request_body = CreateSession,
    responses(
        (status = 201, description = "The token", body = SessionCreated),
        (status = 409, description = "The subaccount has too many sessions"),
    ))]
pub(super) async fn create(
    State(state): State<ApiState>,
    tenant: Tenant,
    Extension(credential): Extension<Credential>,
    Body(request): Body<CreateSession>,
) -> Result<(StatusCode, Json<SessionCreated>), Problem> {
    let now = state.clock.now();
    // A session ends with the API key it was made with, and does not outlast a token.
    let (key_hash, longest) = match credential {
        Credential::Key(hash) => (Some(hash), None),
        Credential::OfSettings => (None, None),
        Credential::Token(until) => (None, Some(duration(until - now))),
        Credential::Session(_) => {
            return Err(Problem::forbidden().detail("a session cannot create sessions; use an API key"));
        }
    };
    let limits = &state.options.limits;
    let mut errors = ValidationErrors::default();
    errors.check("/subject", keys::checked_name(&request.subject));
    errors.check("/name", keys::checked_person(&request.name));
    let role = Role::parse(&request.role).filter(|role| *role != Role::Owner);
    let role = errors.check("/role", role.ok_or("must be viewer, operator or admin"));
    let time = errors.check("/ttl", keys::checked_ttl(&state, request.ttl.map(u64::from)));
    errors.end()?;
    let time = time.unwrap_or(limits.session_time);
    let role = role.unwrap_or(Role::Viewer);
    let time = longest.map_or(time, |longest| time.min(longest));
    let (token, hash) = api_key::generate_session();
    let new = NewSession {
        id: SessionId::new(),
        subaccount: tenant.subaccount,
        subject: request.subject.trim().to_owned(),
        name: request.name.trim().to_owned(),
        role,
        hash,
        key_hash,
        time,
    };
    let most = limits.sessions_per_subaccount;
    let Some(row) = state.store.create_session(&new, most, &tenant.actor).await? else {
        let title = "The subaccount has too many sessions";
        return Err(Problem::new(StatusCode::CONFLICT, "too-many-sessions", title)
            .detail(format!("it has {most}; revoke some, or wait until they end")));
    };
    let SessionId(session_id) = row.id;
    let expires_at = dmrelay_views::time(row.expires_at).unwrap_or_default();
    Ok((StatusCode::CREATED, Json(SessionCreated { session_id, token, expires_at })))
}

/// Ends a session
///
/// Its token is rejected from the next call on, and its event streams end.
#[utoipa::path(delete, path = "/sessions/{sessionId}", tag = "Sessions", operation_id = "revokeSession",
    responses((status = 204, description = "The session has ended; also if it had before")))]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    tenant: Tenant,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Problem> {
    if !state.store.revoke_session(&tenant.subaccount, id, &tenant.actor).await? {
        return Err(Problem::not_found("this subaccount has no session with that sessionId"));
    }
    Ok(StatusCode::NO_CONTENT)
}
