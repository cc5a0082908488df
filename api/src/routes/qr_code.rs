//! `GET …/qr-code`: the QR code of one of the account's links, as a picture.

use super::select;
use crate::access::Scope;
use crate::extract::Params;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dmrelay_instagram::links;
use dmrelay_views::{EntryPoints, enums};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

/// The code of a link never changes; the link does, if the account is renamed.
const CACHE: &str = "private, max-age=3600";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Link {
    #[default]
    DirectMessage,
    Profile,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Svg,
    Png,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The connection; required if the agent has several.
    connection_id: Option<Uuid>,
    /// Where it leads: to the conversation with the account, or to its profile.
    #[serde(default)]
    #[param(schema_with = enums::entry_point, required = false)]
    link: Link,
    /// The kind of picture: `svg`, for print, or `png`.
    #[serde(default)]
    #[param(schema_with = enums::picture_format, required = false)]
    format: Format,
    /// The `ref` of the ig.me link, which tells where customers come from.
    #[serde(rename = "ref")]
    #[param(max_length = 2_083)]
    reference: Option<String>,
}

/// Gets a QR code that leads customers to the account
#[utoipa::path(get, path = "/qr-code", tag = "Connection", operation_id = "getQrCode", params(Query),
    responses((status = 200, description = "The picture", content(
        (String = "image/svg+xml"), (Vec<u8> = "image/png")))))]
pub(super) async fn qr_code(
    State(state): State<ApiState>,
    scope: Scope,
    Params(query): Params<Query>,
) -> Result<Response, Problem> {
    let connection = select(&state, &scope, query.connection_id).await?;
    let links = EntryPoints::of(&connection, query.reference.as_deref())?;
    let links = links.ok_or_else(|| Problem::not_found("the account has no handle, or is disconnected"))?;
    let link = match query.link {
        Link::DirectMessage => links.direct_message,
        Link::Profile => links.profile,
    };
    let (kind, bytes) = match query.format {
        Format::Svg => ("image/svg+xml", links::qr_svg(&link)?.into_bytes()),
        Format::Png => ("image/png", links::qr_png(&link)?),
    };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, CACHE)], bytes).into_response())
}
