//! `GET …/overview`: how it goes.

use crate::access::Tenant;
use crate::extract::Params;
use crate::problem::Problem;
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_views::{OverviewView, Range, enums};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// How far to look back: an hour by the minute (the default), a day by quarters of an hour, a week by two hours.
    #[param(schema_with = enums::overview_range)]
    range: Option<String>,
}

/// Shows how it goes
///
/// What came and went in all accounts of the subaccount, how fast the agent's answers were sent, and what waits. Of busy subaccounts the
/// newest 20,000 messages of the range count.
#[utoipa::path(get, path = "/overview", tag = "Usage", operation_id = "getOverview", params(Query),
    responses((status = 200, description = "The overview", body = OverviewView)))]
pub(super) async fn overview(
    State(state): State<ApiState>,
    tenant: Tenant,
    Params(query): Params<Query>,
) -> Result<Json<OverviewView>, Problem> {
    let range = query.range.as_deref().map_or(Some(Range::Hour), Range::parse);
    let range = range.ok_or_else(|| Problem::parameter("range", "must be hour, day or week"))?;
    Ok(Json(services::overview::overview(&state, &tenant.subaccount, range).await?))
}
