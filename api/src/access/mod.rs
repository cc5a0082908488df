//! Authenticates and authorizes callers before any handler runs.

mod principal;

use crate::bodies;
use crate::checks::Checks;
use crate::front;
use crate::idempotency;
use crate::limit;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dmrelay_domain::actor::Actor;
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::permission::{Permission, Role};
use std::sync::{Arc, OnceLock};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

pub(crate) use principal::{Credential, Principal};

/// What a route requires of its caller.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) state: ApiState,
    pub(crate) permission: Permission,
    /// Whether idempotency is handled here; `send` stores its own key with the message.
    pub(crate) keeps_answers: bool,
    /// Whether it reads a list, of which a subaccount may read so many at a time.
    pub(crate) is_list: bool,
    /// Whether its body is a file, which may be larger and is counted apart.
    pub(crate) is_upload: bool,
    /// What the call accepts.
    pub(crate) checks: Checks,
}

/// The subaccount of a call and its caller. A handler that receives one may rely on the caller's permission.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) subaccount: SubaccountId,
    /// The caller, for activities.
    pub(crate) actor: Actor,
    /// The caller's role in the subaccount.
    pub(crate) role: Role,
}

/// A [`Tenant`] and the agent of the call.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) subaccount: SubaccountId,
    pub(crate) agent: AgentId,
    pub(crate) actor: Actor,
    /// Whether the caller's token names the agent as one that it may connect accounts to.
    pub(crate) may_bind: bool,
}

/// Where the guard leaves the [`Caller`] of a call, for a log line that is written whatever becomes of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallerCell(Arc<OnceLock<Caller>>);

impl CallerCell {
    pub(crate) fn get(&self) -> Option<&Caller> {
        self.0.get()
    }
}

/// Who made a call, and about what: for the log of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The key's id, or the token's subject; none if nobody was authenticated.
    pub(crate) principal: Option<String>,
    pub(crate) subaccount: Option<SubaccountId>,
    pub(crate) agent: Option<AgentId>,
}

/// Authorizes a call and adds its [`Tenant`] and [`Scope`].
pub(crate) async fn guard(
    State(guard): State<Guard>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let mut caller = Caller::default();
    if let Ok(params) = &params {
        let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
        caller.subaccount = param("subaccountId").and_then(|id| SubaccountId::parse(id).ok());
        caller.agent = param("agentId").and_then(|id| AgentId::parse(id).ok());
    }
    let authenticated = principal::authenticate(&guard.state, request.headers()).await;
    caller.principal = authenticated.as_ref().ok().map(|principal| principal.id.clone());
    if let Some(cell) = request.extensions().get::<CallerCell>() {
        let _ = cell.0.set(caller);
    }
    let principal = match authenticated {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    let rate = guard.state.limits.check_principal(&principal.id);
    let mut response = if rate.allowed {
        pass(guard, &principal, params, (request, next)).await
    } else {
        Problem::rate_limited(&rate).into_response()
    };
    limit::write(response.headers_mut(), &[rate]);
    response
}

async fn pass(
    guard: Guard,
    principal: &Principal,
    params: Result<RawPathParams, RawPathParamsRejection>,
    (mut request, next): (Request, Next),
) -> Response {
    let tenant = match authorize(&guard, principal, params) {
        Ok((tenant, agent)) => {
            let Tenant { subaccount, actor, .. } = tenant.clone();
            if let Some(agent) = agent {
                let may_bind = principal.may_bind(&agent);
                request.extensions_mut().insert(Scope { subaccount, agent, actor, may_bind });
            }
            request.extensions_mut().insert(tenant.clone());
            request.extensions_mut().insert(principal.credential.clone());
            request.extensions_mut().insert(guard.checks.clone());
            tenant
        }
        Err(problem) => return problem.into_response(),
    };
    if request.method().is_safe() {
        if !guard.is_list {
            return next.run(request).await;
        }
        return match guard.state.readers.permit(&tenant.subaccount).await {
            Ok(permit) => to_its_end(permit, next.run(request)).await,
            Err(problem) => problem.into_response(),
        };
    }
    // Handlers of writes read no query string, but for those that say so.
    if let Err(problem) = guard.checks.query(request.uri().query().unwrap_or_default()) {
        return problem.into_response();
    }
    // Only those who may call have their bodies read, once and within their limits.
    let (parts, body) = request.into_parts();
    let api = &guard.state.options.api;
    let uploads = &guard.state.options.limits.uploads;
    let (most, time, mut share) = if guard.is_upload {
        let share = guard.state.upload_bodies.share(tenant.subaccount.to_string());
        (uploads.upload_bytes_max, uploads.upload_body_timeout, share)
    } else {
        let of_tenant = guard.state.tenant_bodies.share(tenant.subaccount.to_string());
        let share = guard.state.rest_bodies.share(principal.id.clone()).within(of_tenant);
        (api.api_max_bytes, api.api_body_timeout, share)
    };
    let whole = bodies::read((&parts.headers, body), most, time, &mut share);
    let mut request = match whole.await {
        Ok(whole) => Request::from_parts(parts, Body::from(whole)),
        Err(unread) => return unread.problem().into_response(),
    };
    // Its limit is that of its kind.
    DefaultBodyLimit::disable().apply(&mut request);
    if !guard.keeps_answers {
        let response = next.run(request).await;
        drop(share);
        return response;
    }
    let writer = (&tenant.subaccount, principal.id.as_str());
    idempotency::once(&guard.state, writer, (request, share), next).await
}

/// Reads a list to its end even if the caller hangs up: the database does not stop reading, so the permit stays taken.
async fn to_its_end(
    permit: OwnedSemaphorePermit,
    reading: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let reading = async move {
        let response = reading.await;
        drop(permit);
        response
    };
    tokio::spawn(reading.in_current_span()).await.unwrap_or_else(|_| front::panicked(Box::new(())))
}

fn authorize(
    guard: &Guard,
    principal: &Principal,
    params: Result<RawPathParams, RawPathParamsRejection>,
) -> Result<(Tenant, Option<AgentId>), Problem> {
    let params = params.map_err(|_| Problem::malformed("the path is not UTF-8"))?;
    let param = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let subaccount = SubaccountId::parse(param("subaccountId").unwrap_or_default())
        .map_err(|err| Problem::parameter("subaccountId", err.why))?;
    let agent = param("agentId").map(AgentId::parse).transpose();
    let agent = agent.map_err(|err| Problem::parameter("agentId", err.why))?;
    let role = principal.role_in(&subaccount);
    let Some(role) = role.filter(|role| role.may(guard.permission)) else {
        return Err(Problem::lacks(guard.permission, role));
    };
    // An agent of another subaccount is like one that nobody has: every call is about what the subaccount has connected.
    Ok((Tenant { subaccount, actor: principal.actor(), role }, agent))
}

/// A handler without its guard is a routing bug, which the access tests catch.
fn unguarded() -> Problem {
    tracing::error!("a route has no guard");
    Problem::forbidden()
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unguarded)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unguarded)
    }
}
