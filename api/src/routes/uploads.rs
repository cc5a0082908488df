//! `POST …/media`: a file that is to be sent to customers.

use super::{all, ids, select};
use crate::access::Scope;
use crate::extract::{Id, Params};
use crate::problem::Problem;
use crate::services::uploads;
use crate::state::ApiState;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use dmrelay_domain::ids::MediaId;
use dmrelay_views::UploadView;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
}

/// Uploads a file to send
///
/// An image (PNG, JPEG, GIF; up to 8 MiB), a video, audio (AAC, M4A, WAV, MP4) or a PDF (up to 25 MiB). The body is the file, or a form
/// (`multipart/form-data`) with a part `file`; the type is detected from the bytes. Send it by its `attachmentId` in any number of messages. The same
/// file is uploaded only once; repeating the request returns 200.
#[utoipa::path(post, path = "/media", tag = "Takeover", operation_id = "uploadMedia", params(Query),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    responses(
        (status = 201, description = "It can be sent", body = UploadView),
        (status = 200, description = "It was uploaded before, and can be sent", body = UploadView),
        (status = 409, description = "The account cannot send now"),
        (status = 422, description = "Instagram does not take it, for its type or size, or Meta refuses it"),
    ))]
pub(super) async fn upload(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    let bytes = uploads::file_of(&headers, body).await?;
    let (row, is_new) = uploads::upload(&state, &connection, bytes).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(UploadView::of(&row))).into_response())
}

/// Deletes a file that was uploaded to send
///
/// Our copy of it. Meta keeps its own, and messages that were sent stay as they are.
#[utoipa::path(delete, path = "/media/{mediaId}", tag = "Takeover", operation_id = "deleteUpload",
    responses((status = 204, description = "It is deleted")))]
pub(super) async fn delete(
    State(state): State<ApiState>,
    scope: Scope,
    Id(id): Id<MediaId>,
) -> Result<StatusCode, Problem> {
    uploads::delete(&state, &ids(&all(&state, &scope).await?), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
