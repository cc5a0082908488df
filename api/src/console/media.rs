//! `GET /console/media/{mediaId}`: what a customer sent besides text.

use super::trouble;
use super::visitor::Visitor;
use crate::extract::{Id, Params};
use crate::problem::Problem;
use crate::routes::ids;
use crate::services::media::{self, Size};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use dmrelay_domain::ids::MediaId;
use dmrelay_domain::media::MediaState;
use dmrelay_domain::permission::Permission;
use serde::Deserialize;
use std::time::Duration;

/// How long a picture is waited for that is being fetched: the page asks for it as soon as its message is there.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How often it is looked whether it is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Default, Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    thumbnail: bool,
}

pub(super) async fn show(
    State(state): State<ApiState>,
    visitor: Visitor,
    Id(id): Id<MediaId>,
    Params(query): Params<Query>,
    headers: HeaderMap,
) -> Response {
    let size = Size::of(query.thumbnail);
    let showing = async {
        visitor.require(Permission::Read)?;
        let connections = ids(&state.store.connections(&visitor.subaccount, None).await?);
        let mut row = media::find(&state, &connections, id).await?;
        let looks = WAIT_MAX.as_millis() / LOOK_INTERVAL.as_millis();
        for _ in 0..looks {
            if row.state != MediaState::Pending {
                break;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            row = media::find(&state, &connections, id).await?;
        }
        // A picture that is no picture for us, such as HEIC, is given as it is.
        let size = if row.has_thumbnail { size } else { Size::Whole };
        let mut response = media::content(&state, &row, size, &headers).await?;
        // Unlike a link, it is for our pages only.
        let ours = HeaderValue::from_static("same-origin");
        response.headers_mut().insert("cross-origin-resource-policy", ours);
        Ok(response)
    };
    showing.await.unwrap_or_else(|problem: Problem| trouble(&problem))
}
