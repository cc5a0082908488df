//! Media of customers: their state, links to them, and their bytes.

use crate::problem::Problem;
use crate::state::ApiState;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dmrelay_domain::clock::millis;
use dmrelay_domain::ids::{ConnectionId, MediaId};
use dmrelay_domain::media::MediaState;
use dmrelay_media::{ContentType, StoreError};
use dmrelay_store::entity::media::Model;
use dmrelay_vault::Place;
use dmrelay_views::MediaView;
use std::ops::Range;

/// Which of its pictures is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// The medium itself.
    Whole,
    /// A small picture of it.
    Thumbnail,
}

impl Size {
    /// As calls ask for it.
    pub(crate) fn of(thumbnail: bool) -> Self {
        if thumbnail { Self::Thumbnail } else { Self::Whole }
    }
}

/// A medium of these connections.
///
/// # Errors
/// 404 if they have none of this id.
pub(crate) async fn find(
    state: &ApiState,
    connections: &[ConnectionId],
    id: MediaId,
) -> Result<Model, Problem> {
    state.store.medium(connections, id).await?.ok_or_else(missing)
}

fn missing() -> Problem {
    Problem::not_found("there is no such medium, or not any more")
}

/// How far a medium is, with links to it if it is stored.
pub(crate) fn view(state: &ApiState, row: &Model) -> MediaView {
    let until = state.clock.now() + millis(state.options.limits.media_link_time);
    let is_stored = row.state == MediaState::Stored;
    let link = |more: &str| {
        let token = BASE64_URL_SAFE_NO_PAD.encode(state.vault.seal(place(row.id), &until.to_be_bytes()));
        let base = state.base();
        format!("{base}/media/{}?token={token}{more}", row.id)
    };
    let url = is_stored.then(|| link(""));
    let small = (is_stored && row.has_thumbnail).then(|| link("&thumbnail=true"));
    MediaView::of(row, (url, small), Some(until))
}

/// A link's token is encrypted for its medium, like what is stored: nobody can make one, or use it for another.
fn place(MediaId(row): MediaId) -> Place {
    Place { table: "media", column: "link", row }
}

/// The medium of a link.
///
/// # Errors
/// 403 if the link was not made here, or is over.
pub(crate) async fn linked(state: &ApiState, id: MediaId, token: &str) -> Result<Model, Problem> {
    let over = || Problem::forbidden().detail("the link is not valid, or not any more");
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| over())?;
    let until = state.vault.open(place(id), &sealed).map_err(|_| over())?;
    let until: [u8; 8] = until.expose().as_slice().try_into().map_err(|_| over())?;
    if i64::from_be_bytes(until) < state.clock.now() {
        return Err(over());
    }
    state.store.linked_medium(id).await?.ok_or_else(missing)
}

/// The bytes of a medium, or those of a range (RFC 9110, §14).
///
/// # Errors
/// 404 if it has no thumbnail; 409 while it is fetched; 410 if it could not be; 416 for a range that it does not have.
pub(crate) async fn content(
    state: &ApiState,
    row: &Model,
    size: Size,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let gone = |title: &'static str| Problem::new(StatusCode::GONE, "media-unavailable", title);
    let why = row.error.clone().unwrap_or_default();
    match row.state.known() {
        Some(MediaState::Stored) => {}
        Some(MediaState::Pending) => {
            let title = "The medium is being fetched from Meta";
            return Err(Problem::new(StatusCode::CONFLICT, "media-pending", title).retry_after(1));
        }
        Some(MediaState::Expired) => {
            return Err(gone("Meta's link expired before the medium was fetched").detail(why));
        }
        _ => return Err(gone("The medium could not be fetched from Meta").detail(why)),
    }
    let Some(storage) = &state.media else {
        return Err(gone("Media are not kept here any more"));
    };
    let name = match size {
        Size::Whole => row.object(),
        Size::Thumbnail if row.has_thumbnail => row.thumbnail(),
        Size::Thumbnail => return Err(Problem::not_found("the medium has no thumbnail")),
    };
    let whole = row.bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
    let range = match size {
        Size::Whole => range_of(headers, whole)?,
        Size::Thumbnail => None,
    };
    let content = storage.get(&name, range.clone()).await.map_err(|err| match err {
        StoreError::Missing => gone("The medium is not in the store any more"),
        StoreError::Failed(what) => {
            tracing::error!(media = %row.id, error = what, "cannot read a medium from the store");
            let title = "The store of media does not answer";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", title).retry_after(5)
        }
    })?;
    let kind = match size {
        Size::Whole => row.content_type.as_deref().and_then(ContentType::parse),
        Size::Thumbnail => Some(ContentType::Jpeg),
    };
    let length = content.range.end - content.range.start;
    let mut response = Body::from_stream(content.stream).into_response();
    let headers = response.headers_mut();
    let kind_text = kind.map_or("application/octet-stream", ContentType::as_str);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind_text));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A document is not shown beside what this origin serves.
    let shown = if kind.is_some_and(|kind| kind != ContentType::Pdf) { "inline" } else { "attachment" };
    let file = format!("{shown}; filename=\"{}.{}\"", row.id, kind.map_or("bin", ContentType::extension));
    let fixed = [
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&file)),
        (header::CACHE_CONTROL, HeaderValue::from_str(CACHE)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_str("default-src 'none'; sandbox")),
        // Frontends at other origins show it.
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_str("cross-origin")),
    ];
    for (name, value) in fixed {
        headers.insert(name, value.unwrap_or(HeaderValue::from_static("")));
    }
    if let Some(range) = range {
        let told = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), content.size);
        headers.insert(
            header::CONTENT_RANGE,
            HeaderValue::from_str(&told).unwrap_or(HeaderValue::from_static("")),
        );
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// It never changes; but it may be erased.
const CACHE: &str = "private, max-age=600";

/// The range that is wanted. Several at once, or none that can be read, is the whole.
fn range_of(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, Problem> {
    let given = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some(ranges) = given.and_then(|text| http_range_header::parse_range_header(text).ok()) else {
        return Ok(None);
    };
    let ranges = ranges.validate(size).map_err(|_| {
        let title = "The medium does not have these bytes";
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", title)
            .detail(format!("it has {size} bytes"))
    })?;
    Ok(match &ranges[..] {
        [one] => Some(*one.start()..one.end() + 1),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let range = |text: &str| {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(text).unwrap())]);
            range_of(&headers, 100).map_err(|problem| problem.status().as_u16())
        };
        for (text, wanted) in [
            ("bytes=0-9", Ok(Some(0..10))),
            ("bytes=90-", Ok(Some(90..100))),
            ("bytes=-10", Ok(Some(90..100))),
            ("bytes=95-200", Ok(Some(95..100))),
            ("bytes=100-", Err(416)),
            ("bytes=0-1,5-6", Ok(None)),
            ("lines=1-2", Ok(None)),
        ] {
            assert_eq!(range(text), wanted, "{text}");
        }
        assert_eq!(range_of(&HeaderMap::new(), 100).ok(), Some(None));
    }
}
