//! `GET …/connections`: every connection of the subaccount.

use super::is_live;
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_store::Connection;
use dmrelay_store::entity::connection_check;
use dmrelay_views::{ConnectionView, List, enums, worst};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// No parameters; unknown ones are rejected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// A connection in the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedConnection {
    #[serde(flatten)]
    connection: ConnectionView,
    /// The worst of its checks; `GET /status` has them all. Null for a connection that is not in use.
    #[schema(schema_with = enums::check_state_or_null)]
    health: Option<&'static str>,
}

/// Lists all connections of the subaccount
///
/// Includes all agents and disconnected accounts, newest first.
#[utoipa::path(get, path = "/connections", tag = "Connection", operation_id = "listConnections",
    responses((status = 200, description = "All connections, in one page", body = List<ListedConnection>)))]
pub(super) async fn connections(
    State(state): State<ApiState>,
    scope: Scope,
    Params(Query {}): Params<Query>,
) -> Result<Json<List<ListedConnection>>, Problem> {
    let all = state.store.connections(&scope.subaccount, None).await?;
    let mut checks: HashMap<ConnectionId, Vec<connection_check::Model>> = HashMap::new();
    for check in state.store.checks_of(&scope.subaccount).await? {
        checks.entry(check.connection_id).or_default().push(check);
    }
    let view = |connection: &Connection| ListedConnection {
        connection: ConnectionView::of(connection, Some(state.options.defaults)),
        health: is_live(connection).then(|| {
            let checks = checks.get(&connection.id).map(Vec::as_slice).unwrap_or_default();
            worst(checks).as_str()
        }),
    };
    Ok(Json(List::whole(all.iter().map(view).collect())))
}
