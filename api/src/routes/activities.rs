//! `GET …/activities`: the activity log.

use super::{all, ids, paging};
use crate::access::{Scope, Tenant};
use crate::extract::Params;
use crate::problem::{Problem, ValidationErrors};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::ActivityKind;
use dmrelay_store::ActivityFilter;
use dmrelay_views::{ActivityView, List};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Only these kinds, comma-separated.
    #[param(
        pattern = "^[A-Z_]+(,[A-Z_]+)*$",
        max_length = 1_000,
        example = "INSTAGRAM_CONNECTED,INSTAGRAM_DISCONNECTED"
    )]
    kind: Option<String>,
    /// Only this actor, as shown in `actor` or `actorId`.
    #[param(min_length = 1, max_length = 200)]
    actor: Option<String>,
    /// Only this object: the id of a message, a chat, a dead letter or a key.
    #[param(min_length = 1, max_length = 200)]
    subject: Option<String>,
    /// At or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    /// Cursor: the `nextCursor` of the previous page.
    #[param(max_length = 64)]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u64>,
    #[param(maximum = 10_000, default = 0)]
    skip: Option<u64>,
}

/// Lists the activities of the agent's accounts, newest first
#[utoipa::path(get, path = "/activities", tag = "Activities", operation_id = "listActivities", params(Query),
    responses((status = 200, description = "A page of activities", body = List<ActivityView>)))]
pub(super) async fn of_agent(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<List<ActivityView>>, Problem> {
    let connections = ids(&all(&state, &scope).await?);
    list(&state, filter(query, scope.subaccount, Some(connections))?).await
}

/// Lists the activities of the subaccount, newest first
///
/// Includes API keys, which belong to no agent.
#[utoipa::path(get, path = "/activities", tag = "Activities", operation_id = "listSubaccountActivities",
    params(Query), responses((status = 200, description = "A page of activities", body = List<ActivityView>)))]
pub(super) async fn of_tenant(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Json<List<ActivityView>>, Problem> {
    list(&state, filter(query, tenant.subaccount, None)?).await
}

async fn list(state: &ApiState, filter: ActivityFilter) -> Result<Json<List<ActivityView>>, Problem> {
    let page = state.store.activities(&filter).await?;
    Ok(Json(List::of(page, (filter.limit, filter.skip), ActivityView::of, paging::write_id)))
}

fn filter(
    query: Query,
    subaccount: SubaccountId,
    connections: Option<Vec<ConnectionId>>,
) -> Result<ActivityFilter, Problem> {
    let mut errors = ValidationErrors::default();
    let (limit, skip) = paging::page(query.limit, query.skip, &mut errors);
    let filter = ActivityFilter {
        subaccount,
        connections,
        kinds: kinds(query.kind.as_deref(), &mut errors),
        actor: paging::text("actor", query.actor, &mut errors),
        subject: paging::text("subject", query.subject, &mut errors),
        since: paging::moment("since", query.since.as_deref(), &mut errors),
        until: paging::moment("until", query.until.as_deref(), &mut errors),
        before: paging::read_id(query.cursor.as_deref(), &mut errors),
        limit,
        skip,
    };
    errors.end()?;
    Ok(filter)
}

fn kinds(list: Option<&str>, errors: &mut ValidationErrors) -> Vec<ActivityKind> {
    let words: Vec<&str> = list.map(|list| list.split(',').collect()).unwrap_or_default();
    let kinds = words.iter().filter_map(|word| ActivityKind::parse(word)).collect::<Vec<_>>();
    if kinds.len() < words.len() {
        let known: Vec<&str> = ActivityKind::ALL.iter().map(|kind| kind.as_str()).collect();
        errors.parameter("kind", format!("must be a comma-separated list of {}", known.join(", ")));
    }
    kinds
}
