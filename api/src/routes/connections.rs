//! `GET …/connections`: every connection of the subaccount.

use crate::access::Scope;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views;
use axum::Extension;
use axum::extract::State;
use axum::response::Json;
use serde_json::{Value, json};

pub(super) async fn handle(
    State(state): State<ApiState>,
    Extension(scope): Extension<Scope>,
) -> Result<Json<Value>, Problem> {
    let all = state.store.connections(&scope.subaccount, None).await?;
    let items: Vec<Value> = all.iter().map(views::connection).collect();
    let total = items.len();
    Ok(Json(json!({ "items": items, "total": total, "totalIsExact": true, "limit": total, "skip": 0 })))
}
