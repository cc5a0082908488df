//! `GET …/status`: the state of a connection.

use super::{connect, is_live, pauses, select};
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Json;
use dmrelay_views::{BackfillView, ConnectionView, EntryPoints, HealthView, Notice, PauseView, WebhookView};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
    /// The `ref` of the ig.me link.
    #[serde(rename = "ref")]
    #[param(max_length = 2_083)]
    reference: Option<String>,
}

/// The state of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(flatten)]
    connection: ConnectionView,
    /// Days until the token expires, if known.
    token_days_left: Option<i64>,
    queue: Queue,
    /// Links through which customers reach the account; null if Graph gave no username.
    links: Option<EntryPoints>,
    webhook: WebhookView,
    /// What is paused for it: questions to the agent, sends, or connecting it again.
    pauses: Vec<PauseView>,
    /// Whether Meta still accepts the token and delivers messages, as it was last checked.
    health: HealthView,
    /// The search for messages that no webhook brought; null before it has begun.
    backfill: Option<BackfillView>,
    /// What is wrong with the account as a whole, as far as its webhooks show it.
    notices: Vec<Notice>,
}

/// Pending work of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Queue {
    /// Chats with messages waiting for the agent.
    turns_due: i64,
    /// Chats with messages waiting to be sent.
    chats_sending: i64,
}

/// Gets the state of a connection
#[utoipa::path(get, path = "/status", tag = "Connection", operation_id = "getStatus", params(Query),
    responses(
        (status = 200, description = "The state of the connection", body = Status),
        (status = 409, description = "The agent has several accounts"),
    ))]
pub(super) async fn status(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Json<Status>, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    let signs = state.store.signs(connection.account.as_str()).await?;
    let checks = if is_live(&connection) { state.store.checks(connection.id).await? } else { Vec::new() };
    let backlog = state.store.backlog(&[connection.id]).await?;
    Ok(Json(Status {
        token_days_left: connection
            .row
            .token_expires_at
            .map(|at| (at - state.clock.now()).div_euclid(DAY_MS)),
        queue: Queue { turns_due: backlog.turns, chats_sending: backlog.outboxes },
        links: EntryPoints::of(&connection, query.reference.as_deref(), state.base())?,
        pauses: pauses::of_connection(&state, &connection).await?,
        health: HealthView::of(&checks),
        backfill: state.store.backfill(connection.id).await?.as_ref().map(BackfillView::of),
        notices: Notice::all(&signs, state.clock.now()),
        webhook: WebhookView { callback_url: connect::callback_url(&state, &connection) },
        connection: ConnectionView::of(&connection, Some(state.options.defaults)),
    }))
}
