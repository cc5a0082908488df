//! `GET …/connections`: every connection of the subaccount.

use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_views::{ConnectionView, List};
use serde::Deserialize;

/// No parameters; unknown ones are rejected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// Lists all connections of the subaccount
///
/// Includes all agents and disconnected accounts, newest first.
#[utoipa::path(get, path = "/connections", tag = "Connection", operation_id = "listConnections",
    responses((status = 200, description = "All connections, in one page", body = List<ConnectionView>)))]
pub(super) async fn connections(
    State(state): State<ApiState>,
    scope: Scope,
    Params(Query {}): Params<Query>,
) -> Result<Json<List<ConnectionView>>, Problem> {
    let all = state.store.connections(&scope.subaccount, None).await?;
    Ok(Json(List::whole(all.iter().map(ConnectionView::of).collect())))
}
