//! `…/pauses`: a subaccount pauses questions to its agents, its sends, or connecting, and resumes them.

use super::is_live;
use crate::access::Tenant;
use crate::extract::Body;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use dmrelay_domain::ids::{InstagramAccountId, SubaccountId};
use dmrelay_store::{Call, Connection, NewPause, Pause, PauseKey, PauseScope};
use dmrelay_views::PauseView;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// A call that can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CallName {
    /// The agent is asked.
    Ask,
    /// Messages are sent, those of people too.
    Send,
    /// Accounts are connected, or their credentials replaced. Tokens are still renewed.
    Connect,
}

/// Which calls to pause, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PauseCalls {
    /// Which calls; by default questions to the agent and sends. Pausing `send` also holds messages written with `/send`.
    #[schema(min_items = 1, max_items = 3)]
    calls: Option<Vec<CallName>>,
    /// Only those of this connected account; by default of all accounts of the subaccount.
    #[schema(pattern = "^[0-9]{1,32}$", example = "17841400000000001")]
    instagram_account_id: Option<String>,
    /// For how long; without it until they are resumed.
    #[schema(minimum = 1, maximum = 43_200)]
    minutes: Option<u32>,
    /// Reason, shown with the pause.
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// Which calls to resume.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResumeCalls {
    /// Which calls; by default questions to the agent and sends.
    #[schema(min_items = 1, max_items = 3)]
    calls: Option<Vec<CallName>>,
    /// Resumes a pause of this account only. Omit to resume the pause of the whole subaccount, which leaves those of accounts in
    /// place.
    #[schema(example = "17841400000000001")]
    instagram_account_id: Option<String>,
}

/// What is paused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pauses {
    /// Those of the subaccount, and those of the operator that concern it.
    items: Vec<PauseView>,
}

/// Lists the paused calls that concern the subaccount
#[utoipa::path(get, path = "/pauses", tag = "Pauses", operation_id = "listPauses",
    responses((status = 200, description = "What is paused", body = Pauses)))]
pub(super) async fn list(State(state): State<ApiState>, tenant: Tenant) -> Result<Json<Pauses>, Problem> {
    answer(&state, &tenant.subaccount).await
}

/// Pauses questions to the agents, sends, or connecting
///
/// Calls under way are finished; workers stop within two seconds. Messages are still received and wait. On resuming they are
/// answered, as far as Meta's window allows.
#[utoipa::path(post, path = "/pauses", tag = "Pauses", operation_id = "pauseCalls", request_body = PauseCalls,
    responses(
        (status = 200, description = "What is paused now", body = Pauses),
        (status = 404, description = "The account is not connected in this subaccount"),
    ))]
pub(super) async fn pause(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<PauseCalls>,
) -> Result<Json<Pauses>, Problem> {
    let mut errors = ValidationErrors::default();
    let keys = keys(&tenant, request.calls.as_deref(), request.instagram_account_id.as_deref(), &mut errors);
    errors.end()?;
    let of = account(&state, &tenant, &keys).await?;
    if of.is_none() && keys.iter().any(|key| key.scope.account().is_some()) {
        return Err(Problem::not_found("the account is not connected in this subaccount"));
    }
    let new = NewPause {
        keys: &keys,
        of: of.as_ref(),
        time: request.minutes.map(|minutes| Duration::from_mins(minutes.into())),
        reason: request.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()),
        actor: &tenant.actor,
    };
    state.store.pause(&new).await?;
    answer(&state, &tenant.subaccount).await
}

/// Resumes paused calls
///
/// Only what the subaccount itself has paused. What waits is done within a second or two, in order.
#[utoipa::path(post, path = "/pauses/resume", tag = "Pauses", operation_id = "resumeCalls", request_body = ResumeCalls,
    responses(
        (status = 200, description = "What is still paused", body = Pauses),
        (status = 409, description = "None of these calls was paused by the subaccount"),
    ))]
pub(super) async fn resume(
    State(state): State<ApiState>,
    tenant: Tenant,
    Body(request): Body<ResumeCalls>,
) -> Result<Json<Pauses>, Problem> {
    let mut errors = ValidationErrors::default();
    let keys = keys(&tenant, request.calls.as_deref(), request.instagram_account_id.as_deref(), &mut errors);
    errors.end()?;
    let of = account(&state, &tenant, &keys).await?;
    if state.store.resume(&keys, of.as_ref(), &tenant.actor).await?.is_empty() {
        return Err(Problem::new(StatusCode::CONFLICT, "not-paused", "These calls are not paused").detail(
            "the subaccount has not paused them; the operator resumes what the operator has paused",
        ));
    }
    answer(&state, &tenant.subaccount).await
}

/// The account of a request, if it is connected in the subaccount.
async fn account(
    state: &ApiState,
    tenant: &Tenant,
    keys: &[PauseKey],
) -> Result<Option<Connection>, Problem> {
    let Some(account) = keys.first().and_then(|key| key.scope.account()) else { return Ok(None) };
    let live = state.store.live_connection(account).await?;
    Ok(live.filter(|connection| connection.subaccount == tenant.subaccount))
}

/// Refuses to connect while that is paused. Before the token has shown whose account it is (the flag), an operator's pause of
/// the account is not told: it may be another subaccount's.
pub(crate) async fn check_connect(
    state: &ApiState,
    subaccount: &SubaccountId,
    account: Option<(&InstagramAccountId, bool)>,
) -> Result<(), Problem> {
    let pauses = state.store.pauses().await?;
    let stops = |pause: &&Pause| {
        let PauseKey { call, scope } = &pause.key;
        let concerns = match account {
            Some((account, is_proven)) => {
                let is_told = is_proven || !matches!(scope, PauseScope::Account(_));
                is_told && scope.concerns(subaccount, account)
            }
            None => scope.account().is_none() && scope.subaccount().is_none_or(|id| id == subaccount),
        };
        *call == Call::Connect && concerns
    };
    let Some(pause) = pauses.iter().find(stops) else { return Ok(()) };
    let pause = serde_json::to_value(PauseView::of(pause)).unwrap_or_default();
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "connecting-paused", "Connecting is paused")
        .with("pause", pause)
        .retry_after(60))
}

/// The pauses that concern a connection.
pub(super) async fn of_connection(
    state: &ApiState,
    connection: &Connection,
) -> Result<Vec<PauseView>, Problem> {
    let concerns = |pause: &&Pause| {
        let scope = &pause.key.scope;
        // Whoever had the account before learns nothing of it.
        let is_theirs = is_live(connection) || !matches!(scope, PauseScope::Account(_));
        is_theirs && scope.concerns(&connection.subaccount, &connection.account)
    };
    let pauses = state.store.pauses().await?;
    Ok(pauses.iter().filter(concerns).map(PauseView::of).collect())
}

fn keys(
    tenant: &Tenant,
    calls: Option<&[CallName]>,
    account: Option<&str>,
    errors: &mut ValidationErrors,
) -> Vec<PauseKey> {
    let calls = match calls {
        None => Call::OF_CHATS.to_vec(),
        Some([]) => {
            errors.at("/calls", "must name at least one of ask, send, connect");
            Vec::new()
        }
        Some(calls) if calls.len() > Call::ALL.len() => {
            errors.at("/calls", format!("must name at most {} calls", Call::ALL.len()));
            Vec::new()
        }
        Some(calls) => {
            Call::ALL.into_iter().filter(|call| calls.iter().any(|named| named.call() == *call)).collect()
        }
    };
    let account = account.and_then(|id| {
        errors.check("/instagramAccountId", InstagramAccountId::parse(id).map_err(|err| err.why))
    });
    let own = tenant.subaccount.clone();
    let scope = account
        .map_or_else(|| PauseScope::Own(own.clone()), |account| PauseScope::OwnAccount(own.clone(), account));
    calls.into_iter().map(|call| PauseKey { call, scope: scope.clone() }).collect()
}

async fn answer(state: &ApiState, subaccount: &SubaccountId) -> Result<Json<Pauses>, Problem> {
    let mut pauses = state.store.pauses().await?;
    let mut accounts = Vec::new();
    if pauses.iter().any(|pause| matches!(pause.key.scope, PauseScope::Account(_))) {
        let connections = state.store.connections(subaccount, None).await?;
        accounts.extend(connections.into_iter().filter(is_live).map(|connection| connection.account));
    }
    let concerns = |pause: &Pause| match &pause.key.scope {
        PauseScope::All => true,
        PauseScope::Account(account) => accounts.contains(account),
        scope => scope.subaccount() == Some(subaccount),
    };
    pauses.retain(concerns);
    Ok(Json(Pauses { items: pauses.iter().map(PauseView::of).collect() }))
}

impl CallName {
    fn call(self) -> Call {
        match self {
            Self::Ask => Call::Ask,
            Self::Send => Call::Send,
            Self::Connect => Call::Connect,
        }
    }
}
