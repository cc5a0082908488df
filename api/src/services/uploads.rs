//! Files that are to be sent: checked, handed to Meta once, and kept to be shown.

use super::inbox_profile::access_of_live;
use super::send::check_connected;
use crate::connect::graph::graph_problem;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{ConnectionId, MediaId};
use dmrelay_domain::outgoing::{attachment_ids, sent_as};
use dmrelay_domain::signature::sha256;
use dmrelay_instagram::File;
use dmrelay_media::{ContentType, Storage, kind_of, thumbnail_in_turn};
use dmrelay_store::entity::media::Model;
use dmrelay_store::{Connection, Upload};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The file of a call: its body, or the part `file` of a form.
///
/// # Errors
/// 400 for a form without it.
pub(crate) async fn file_of(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Ok(body);
    }
    let bad = |what: &dyn std::fmt::Display| Problem::malformed(format!("the form cannot be read: {what}"));
    let mut request = Request::new(Body::from(body));
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    // It is in memory already, within its limit.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(|err| bad(&err))?;
    while let Some(field) = form.next_field().await.map_err(|err| bad(&err))? {
        if field.name() == Some("file") {
            return field.bytes().await.map_err(|err| bad(&err));
        }
    }
    Err(Problem::malformed("the form has no part named file"))
}

/// Uploads a file to Meta, unless the same was uploaded before, and keeps a copy. Gives its row, and whether it is new.
///
/// # Errors
/// 409 if the account cannot send now; 422 for what Instagram does not take; what Meta and the store say.
pub(crate) async fn upload(
    state: &ApiState,
    connection: &Connection,
    bytes: Bytes,
) -> Result<(Model, bool), Problem> {
    check_connected(connection)?;
    let (content_type, kind) = checked(&bytes)?;
    let digest = hex::encode(sha256(&bytes));
    if let Some(row) = known(state, connection, &digest).await? {
        return Ok((row, false));
    }
    let access = access_of_live(state, connection)?;
    let Some(storage) = &state.media else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "media-not-kept",
            "Files cannot be uploaded: MEDIA_STORE is empty",
        ));
    };
    let small = thumbnail_of(content_type, bytes.clone()).await;
    let upload = Upload {
        connection: connection.id,
        kind,
        content_type: content_type.as_str(),
        bytes: bytes.len(),
        has_thumbnail: small.is_some(),
    };
    // Whatever happens from here on: what is stored in vain is deleted.
    let row = state.store.begin_upload(&upload).await?;
    put(storage, (&row.object(), bytes.clone()), small.map(|small| (row.thumbnail(), small))).await?;
    let name = format!("{}.{}", row.id, content_type.extension());
    let file = File { kind, name, content_type: content_type.as_str(), bytes };
    let timeout = state.options.limits.uploads.upload_timeout;
    let attachment = state.graph.upload(&access, file, timeout).await.map_err(|err| graph_problem(&err))?;
    match state.store.keep_upload(row.id, &digest, &attachment).await {
        Ok(Some(row)) => {
            tracing::info!(media = %row.id, kind, bytes = row.bytes, "file uploaded");
            Ok((row, true))
        }
        Ok(None) => Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The upload took too long")),
        Err(err) if err.is_conflict() => match state.store.uploaded(connection.id, &digest).await? {
            Some(row) => Ok((row, false)),
            None => Err(err.into()),
        },
        Err(err) => Err(err.into()),
    }
}

/// What was uploaded with these bytes, and Meta may still have: not long ago, and with the login of now. Otherwise it is uploaded anew.
async fn known(state: &ApiState, connection: &Connection, digest: &str) -> Result<Option<Model>, Problem> {
    let Some(row) = state.store.uploaded(connection.id, digest).await? else { return Ok(None) };
    let age = millis(state.options.limits.uploads.upload_reuse);
    let since = Ord::max(state.clock.now() - age, connection.row.connected_at.unwrap_or_default());
    if row.stored_at.is_some_and(|at| at >= since) {
        return Ok(Some(row));
    }
    state.store.forget_digest(row.id).await?;
    Ok(None)
}

/// What a file is, and as what it is sent.
fn checked(bytes: &Bytes) -> Result<(ContentType, &'static str), Problem> {
    let invalid = |what: String| Problem::invalid("", what);
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let kind =
        kind_of(bytes, false).ok_or_else(|| invalid("must be an image, video, audio or PDF".to_owned()))?;
    let sent = sent_as(kind.as_str(), kind.extension(), size).map_err(invalid)?;
    Ok((kind, sent))
}

async fn thumbnail_of(kind: ContentType, picture: Bytes) -> Option<Bytes> {
    if !kind.as_str().starts_with("image/") {
        return None;
    }
    thumbnail_in_turn(picture).await
}

async fn put(storage: &Storage, file: (&str, Bytes), small: Option<(String, Bytes)>) -> Result<(), Problem> {
    let failed = |err: dmrelay_media::StoreError| {
        tracing::error!(error = %err, "cannot store an upload");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store-unavailable",
            "The store of media does not answer",
        )
        .retry_after(5)
    };
    storage.put(file.0, file.1).await.map_err(failed)?;
    if let Some((name, small)) = small {
        storage.put(&name, small).await.map_err(failed)?;
    }
    Ok(())
}

/// The attachments of a message that names uploads, with our copies of them, as JSON.
///
/// # Errors
/// What the database says.
pub(crate) async fn shown(
    state: &ApiState,
    connection: &Connection,
    message: &Value,
) -> Result<Option<String>, Problem> {
    let named = attachment_ids(message);
    let ids: Vec<&str> = named.iter().map(|(_, id)| *id).collect();
    let uploads = state.store.uploads(connection.id, &ids).await?;
    let copies: HashMap<&str, MediaId> =
        uploads.iter().filter_map(|row| Some((row.attachment_id.as_deref()?, row.id))).collect();
    let all: Vec<Value> = named
        .iter()
        .filter_map(|(kind, id)| Some(json!({ "type": kind, "mediaId": copies.get(id)? })))
        .collect();
    Ok((!all.is_empty()).then(|| Value::Array(all).to_string()))
}

/// Deletes an upload.
///
/// # Errors
/// 404 if there is none of this id.
pub(crate) async fn delete(
    state: &ApiState,
    connections: &[ConnectionId],
    id: MediaId,
) -> Result<(), Problem> {
    if state.store.discard_upload(connections, id).await? {
        return Ok(());
    }
    Err(Problem::not_found("there is no such upload"))
}
