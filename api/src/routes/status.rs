//! `GET …/status`: how a connection is doing.

use super::{connect, select};
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views;
use axum::Extension;
use axum::extract::State;
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Query {
    connection_id: Option<Uuid>,
    /// The `ref` of the ig.me link.
    #[serde(rename = "ref")]
    reference: Option<String>,
}

pub(super) async fn handle(
    State(state): State<ApiState>,
    Extension(scope): Extension<Scope>,
    Params(query): Params<Query>,
) -> Result<Json<Value>, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    let backlog = state.store.backlog(connection.id).await?;
    let days = connection.row.token_expires_at.map(|at| (at - state.clock.now()).div_euclid(DAY_MS));
    let mut body = views::connection(&connection);
    body["tokenDaysLeft"] = json!(days);
    body["queue"] = json!({ "turnsDue": backlog.turns, "chatsSending": backlog.outboxes });
    body["links"] = views::entry_points(&connection, query.reference.as_deref())?;
    body["webhook"] = json!({ "callbackUrl": connect::callback_url(&state, &connection) });
    Ok(Json(body))
}
