//! QR codes of an account's links, as pictures.

use crate::problem::Problem;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use dmrelay_instagram::links::{self, InvalidCode};
use dmrelay_store::Connection;
use dmrelay_views::{EntryPoints, enums};
use serde::Deserialize;
use utoipa::IntoParams;

/// The code of a link never changes; the link does, if the account is renamed.
const CACHE: &str = "max-age=3600";

/// The size of a picture unless another is asked for, and the largest, in pixels.
const SIZE: u32 = 256;
const SIZE_MAX: u32 = 2_048;
const SIZE_MIN: u32 = 64;

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

/// Which picture of which link.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Picture {
    /// Where it leads: to the conversation with the account, or to its profile.
    #[serde(default)]
    #[param(schema_with = enums::entry_point, required = false)]
    link: Link,
    /// The kind of picture: `svg`, for print, or `png`.
    #[serde(default)]
    #[param(schema_with = enums::picture_format, required = false)]
    format: Format,
    /// The side of the picture in pixels. A code that does not fit needs more.
    #[serde(default = "usual_size")]
    #[param(minimum = 64, maximum = 2048, default = 256, required = false)]
    size: u32,
    /// The `ref` of the ig.me link, which tells where customers come from.
    #[serde(rename = "ref")]
    #[param(max_length = 2_083)]
    reference: Option<String>,
}

const fn usual_size() -> u32 {
    SIZE
}

/// The picture; `is_public` is whether it is for pages of every origin, and for shared caches.
///
/// # Errors
/// 404 if the account has no links; 422 if there is no such picture.
pub(crate) fn picture(
    connection: &Connection,
    wanted: &Picture,
    is_public: bool,
) -> Result<Response, Problem> {
    if !(SIZE_MIN..=SIZE_MAX).contains(&wanted.size) {
        return Err(Problem::parameter("size", format!("must be {SIZE_MIN} to {SIZE_MAX}")));
    }
    let links = EntryPoints::of(connection, wanted.reference.as_deref(), "")?;
    let links = links.ok_or_else(|| Problem::not_found("the account has no handle, or is disconnected"))?;
    let link = match wanted.link {
        Link::DirectMessage => links.direct_message,
        Link::Profile => links.profile,
    };
    let (kind, bytes) = match wanted.format {
        Format::Svg => ("image/svg+xml", links::qr_svg(&link, wanted.size)?.into_bytes()),
        Format::Png => ("image/png", links::qr_png(&link, wanted.size)?),
    };
    let for_whom = if is_public { "public" } else { "private" };
    let headers =
        [(header::CONTENT_TYPE, kind.to_owned()), (header::CACHE_CONTROL, format!("{for_whom}, {CACHE}"))];
    let mut response = (headers, bytes).into_response();
    if is_public {
        let everybody = HeaderValue::from_static("cross-origin");
        response.headers_mut().insert(HeaderName::from_static("cross-origin-resource-policy"), everybody);
    }
    Ok(response)
}

/// Codes are drawn of links that were built from the request's `ref`, in a size of the request.
impl From<InvalidCode> for Problem {
    fn from(err: InvalidCode) -> Self {
        let parameter = if matches!(err, InvalidCode::TooLong) { "ref" } else { "size" };
        Self::parameter(parameter, err.to_string())
    }
}
