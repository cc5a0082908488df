//! `PATCH …/settings`: the settings of a connection.

use super::select;
use crate::access::Scope;
use crate::extract::Body;
use crate::problem::Problem;
use crate::settings::ChangeSettings;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_views::ConnectionView;

/// Changes a connection's settings
///
/// Omitted fields stay as they are; null resets a field to the process default. `botPaused` holds the agent
/// back in the whole account: its answers wait, and human agents may still write.
#[utoipa::path(patch, path = "/settings", tag = "Connection", operation_id = "changeSettings",
    request_body = ChangeSettings,
    responses(
        (status = 200, description = "The changed connection", body = ConnectionView),
        (status = 409, description = "The agent has several accounts"),
    ))]
pub(super) async fn change_settings(
    State(state): State<ApiState>,
    scope: Scope,
    Body(change): Body<ChangeSettings>,
) -> Result<Json<ConnectionView>, Problem> {
    let connection = select(&state, &scope, change.connection_id).await?;
    let changed = state
        .store
        .change_settings(connection.id, &scope.actor, |settings, paused| change.apply(settings, paused))
        .await?;
    let changed = changed.ok_or_else(|| Problem::not_found("the connection is gone"))?;
    state.snapshots.refresh().await?;
    Ok(Json(ConnectionView::of(&changed, Some(state.options.defaults))))
}
