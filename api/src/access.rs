//! Who calls, and what they may: decided here, before any handler.

use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::permission::{Permission, Role};
use dmrelay_domain::signature;

/// The subaccount and the agent a call is about, and who makes it. Handlers get it from the request's
/// extensions: that it is there means that the caller may.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The tenant.
    pub(crate) subaccount: SubaccountId,
    /// The agent.
    pub(crate) agent: AgentId,
    /// The caller's name, for activities.
    pub(crate) actor: String,
}

/// Somebody with a valid key.
struct Principal {
    name: String,
    /// Nothing means every subaccount.
    subaccount: Option<SubaccountId>,
    role: Role,
}

/// Lets a call through that its key may make, with its [`Scope`].
pub(crate) async fn guard(
    State((state, permission)): State<(ApiState, Permission)>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    match check(&state, permission, &params, request.headers()).await {
        Ok(scope) => {
            request.extensions_mut().insert(scope);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn check(
    state: &ApiState,
    permission: Permission,
    params: &RawPathParams,
    headers: &HeaderMap,
) -> Result<Scope, Problem> {
    let principal = authenticate(state, headers).await?;
    let param = |name: &str| params.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value);
    let subaccount =
        SubaccountId::parse(param("subaccount")).map_err(|err| Problem::malformed(err.to_string()))?;
    let agent = AgentId::parse(param("agent")).map_err(|err| Problem::malformed(err.to_string()))?;
    let own = principal.subaccount.is_none_or(|own| own == subaccount);
    if !own || !principal.role.may(permission) {
        return Err(Problem::forbidden());
    }
    // An agent of another subaccount is refused like another subaccount: nothing tells that it exists.
    let owner = state.store.agent_subaccount(&agent).await?;
    if owner.is_some_and(|owner| owner != subaccount.as_str()) {
        return Err(Problem::forbidden());
    }
    Ok(Scope { subaccount, agent, actor: principal.name })
}

async fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Principal, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, key)) = key else { return Err(Problem::unauthenticated()) };
    let hash = signature::sha256(key.trim().as_bytes());
    if state.options.bootstrap_hash.is_some_and(|bootstrap| signature::same(&bootstrap, &hash)) {
        return Ok(Principal { name: "bootstrap key".to_owned(), subaccount: None, role: Role::Owner });
    }
    let Some(key) = state.store.api_key(&hash).await? else {
        return Err(Problem::unauthenticated());
    };
    if let Err(err) = state.store.touch_api_key(key.id).await {
        tracing::debug!(error = %err, "last use of a key not noted");
    }
    Ok(Principal { name: format!("key {}", key.name), subaccount: Some(key.subaccount), role: key.role })
}
