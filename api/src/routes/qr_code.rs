//! `GET …/qr-code`: the QR code of one of the account's links, as a picture.

use super::select;
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::Problem;
use crate::services::qr::{self, Picture};
use crate::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use dmrelay_domain::ids::ConnectionId;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// Which connection of the agent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
}

/// Gets a QR code that leads customers to the account
///
/// Where a picture is shown without a key, as in `<img>`, the addresses in `links.qrCodes` of the status serve the same.
#[utoipa::path(get, path = "/qr-code", tag = "Connection", operation_id = "getQrCode", params(Query, Picture),
    responses((status = 200, description = "The picture", content(
        (String = "image/svg+xml"), (Vec<u8> = "image/png")))))]
pub(super) async fn qr_code(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
    Params(picture): Params<Picture>,
) -> Result<Response, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    qr::picture(&connection, &picture, false)
}

/// `GET /qr-code/{connectionId}`: the same for everybody. What a code says is public, and ids cannot be guessed.
pub(super) async fn public(
    State(state): State<ApiState>,
    Id(id): Id<ConnectionId>,
    Params(picture): Params<Picture>,
) -> Result<Response, Problem> {
    let connection = state.store.connection_by_id(id).await?;
    let connection =
        connection.ok_or_else(|| Problem::not_found("there is no connection with that connectionId"))?;
    qr::picture(&connection, &picture, true)
}
