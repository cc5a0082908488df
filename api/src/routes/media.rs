//! `…/media/{mediaId}`: what customers sent besides text.

use super::{all, ids};
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::Problem;
use crate::services::media::{self, Size};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use dmrelay_domain::ids::MediaId;
use dmrelay_views::MediaView;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// A small picture of it instead, of at most 480 pixels.
    #[serde(default)]
    #[param(default = false, required = false)]
    thumbnail: bool,
}

/// Gets what a customer sent besides text
///
/// The bytes, or a range of them. `mediaId` is that of the message's attachment.
#[utoipa::path(get, path = "/media/{mediaId}", tag = "History", operation_id = "getMedium", params(Query),
    responses(
        (status = 200, description = "The bytes; with `Range`, 206 and those of the range",
            body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 409, description = "It is being fetched from Meta; try again in a second"),
        (status = 410, description = "Meta did not have it any more, or it could not be fetched"),
        (status = 416, description = "It does not have these bytes"),
    ))]
pub(super) async fn bytes(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MediaId>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = media::find(&state, &ids(&all(&state, &scope).await?), id).await?;
    media::content(&state, &row, Size::of(query.thumbnail), &headers).await
}

/// Gets links to what a customer sent besides text
///
/// And how far our copy of it is. Whoever has a link gets the bytes without a key, for a few minutes: for `<img>`.
#[utoipa::path(get, path = "/media/{mediaId}/link", tag = "History", operation_id = "getMediumLink",
    responses((status = 200, description = "The medium, with links", body = MediaView)))]
pub(super) async fn link(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MediaId>,
) -> Result<Json<MediaView>, Problem> {
    let row = media::find(&state, &ids(&all(&state, &scope).await?), id).await?;
    Ok(Json(media::view(&state, &row)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Linked {
    #[serde(default)]
    token: String,
    #[serde(default)]
    thumbnail: bool,
}

/// `GET /media/{mediaId}?token=…`, with a link.
pub(super) async fn linked(
    State(state): State<ApiState>,
    Id(id): Id<MediaId>,
    Params(query): Params<Linked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = media::linked(&state, id, &query.token).await?;
    media::content(&state, &row, Size::of(query.thumbnail), &headers).await
}
