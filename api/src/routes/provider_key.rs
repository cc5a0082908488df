//! `…/provider-key`: the key that a subaccount has of its own at the agent's provider.

use crate::access::Tenant;
use crate::extract::Body;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_agent::{AgentCheck, check_agent};
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::secret::Secret;
use dmrelay_vault::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// A key at the agent's provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutProviderKey {
    /// Retell's API key of your workspace.
    #[schema(value_type = String, min_length = 8, max_length = 512, example = "key_0123456789abcdef")]
    key: Secret<String>,
}

/// Whether the subaccount has a key of its own.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProviderKey)]
pub(super) struct ProviderKeyView {
    /// Whether agents are asked with a key of the subaccount; else with the operator's.
    is_own: bool,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

/// Shows whether the subaccount has its own key at Retell
///
/// The key itself is never shown.
#[utoipa::path(get, path = "/provider-key", tag = "Provider key", operation_id = "getProviderKey",
    responses((status = 200, description = "Whether there is one", body = ProviderKeyView)))]
pub(super) async fn show(
    State(state): State<ApiState>,
    tenant: Tenant,
) -> Result<Json<ProviderKeyView>, Problem> {
    let row = state.store.provider_key(&tenant.subaccount).await?;
    let updated_at = row.as_ref().and_then(|row| dmrelay_views::time(row.updated_at));
    Ok(Json(ProviderKeyView { is_own: row.is_some(), updated_at }))
}

/// Sets the subaccount's own key at Retell
///
/// From then on its agents are asked with this key, which must be able to read each of them; agents need not be assigned by the operator.
#[utoipa::path(put, path = "/provider-key", tag = "Provider key", operation_id = "putProviderKey",
    request_body = PutProviderKey,
    responses(
        (status = 200, description = "The key is in use", body = ProviderKeyView),
        (status = 422, description = "Retell does not accept the key, or an agent is not of its workspace"),
        (status = 503, description = "Retell cannot tell now"),
    ))]
pub(super) async fn put(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<PutProviderKey>,
) -> Result<Json<ProviderKeyView>, Problem> {
    let key = request.key;
    let connections = state.store.connections(&tenant.subaccount, None).await?;
    let live = connections.into_iter().filter(super::is_live).map(|connection| connection.agent);
    let mut agents: BTreeSet<AgentId> = live.collect();
    if agents.is_empty() {
        // Whether the key is accepted shows in the answer for an agent that nobody has.
        agents.extend(AgentId::parse(&format!("agent_{}", Uuid::new_v4().simple())).ok());
        reads(&state, &key, &agents, false).await?;
    } else {
        reads(&state, &key, &agents, true).await?;
    }
    let id = Uuid::now_v7();
    let place = Place { table: "provider_keys", column: "key", row: id };
    let sealed = state.vault.seal(place, key.expose().as_bytes());
    state.store.put_provider_key(&tenant.subaccount, (id, sealed), &tenant.actor).await?;
    show(State(state), tenant).await
}

/// Removes the subaccount's own key at Retell
///
/// Its agents are asked with the operator's key then.
#[utoipa::path(delete, path = "/provider-key", tag = "Provider key", operation_id = "deleteProviderKey",
    responses((status = 204, description = "The subaccount has no key of its own; also if it had none")))]
pub(super) async fn delete(State(state): State<ApiState>, tenant: Tenant) -> Result<StatusCode, Problem> {
    state.store.delete_provider_key(&tenant.subaccount, &tenant.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the key reads these agents; with `must`, each of them must be its own.
async fn reads(
    state: &ApiState,
    key: &Secret<String>,
    agents: &BTreeSet<AgentId>,
    must: bool,
) -> Result<(), Problem> {
    for agent in agents {
        match check_agent(&state.client, &state.options.retell_url, key, agent).await {
            AgentCheck::Own => {}
            AgentCheck::Unknown if !must => {}
            other => return Err(problem(&other, agent)),
        }
    }
    Ok(())
}

/// Whether the subaccount's own key, if it has one, proves that the agent is its own.
pub(crate) async fn proves(
    state: &ApiState,
    subaccount: &SubaccountId,
    agent: &AgentId,
) -> Result<Option<()>, Problem> {
    let Some(row) = state.store.provider_key(subaccount).await? else { return Ok(None) };
    let place = Place { table: "provider_keys", column: "key", row: row.id };
    let key = state.vault.open_text(place, &row.key).map_err(|err| {
        tracing::error!(error = %err, "cannot decrypt a subaccount's key at the agent's provider");
        problem(&AgentCheck::Unavailable("its key cannot be decrypted".to_owned()), agent)
    })?;
    match check_agent(&state.client, &state.options.retell_url, &key, agent).await {
        AgentCheck::Own => Ok(Some(())),
        other => Err(problem(&other, agent)),
    }
}

fn problem(check: &AgentCheck, agent: &AgentId) -> Problem {
    match check {
        AgentCheck::KeyRefused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "provider-key-refused",
            "Retell does not accept the key",
        ),
        AgentCheck::Own | AgentCheck::Unknown => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "agent-not-found",
            "The agent is not of the key's workspace",
        )
        .with("agentId", agent.as_str()),
        AgentCheck::Unavailable(why) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "provider-unavailable", "Retell cannot tell now")
                .detail(why.clone())
                .retry_after(5)
        }
    }
}
