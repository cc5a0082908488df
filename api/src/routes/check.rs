//! `POST …/check`: checks the health of a connection now.

use super::select;
use crate::access::Scope;
use crate::extract::MaybeBody;
use crate::problem::Problem;
use crate::services;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_views::HealthView;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The connection to check.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Check {
    /// Required if the agent has several.
    connection_id: Option<Uuid>,
}

/// Checks the health of a connection now
///
/// Asks Meta for the token, the permissions, the subscription and the account's switch, subscribes missing webhook fields again, and
/// looks at what has come. It takes a few seconds. The same checks run after each connect and every `CHECK_INTERVAL` (1 h).
#[utoipa::path(post, path = "/check", tag = "Connection", operation_id = "checkConnection", request_body = Option<Check>,
    responses(
        (status = 200, description = "What was found", body = HealthView),
        (status = 409, description = "The agent has several accounts, or none that is connected"),
    ))]
pub(super) async fn check(
    State(state): State<ApiState>,
    scope: Scope,
    MaybeBody(request): MaybeBody<Check>,
) -> Result<Json<HealthView>, Problem> {
    let connection = select(&state, &scope, request.unwrap_or_default().connection_id).await?;
    services::connections::check(&state, &connection).await?;
    Ok(Json(HealthView::of(&state.store.checks(connection.id).await?)))
}
