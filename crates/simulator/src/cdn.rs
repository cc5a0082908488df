//! The server of media: what customers send is there for a while, without a token (addendum to the facts of 2026, "Media in": `403` with
//! the text `URL signature expired` afterwards). How long is a setting: Meta does not say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::engine::Core;

/// A picture that customers of the demo send.
const VASE: &[u8] = include_bytes!("../assets/vase.png");

/// The picture of a customer.
const FACE: &[u8] = include_bytes!("../assets/face.png");

/// What the server answers for a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// These bytes. The server says that they are a page, as Meta's has been seen to.
    Bytes(Vec<u8>),
    /// So many errors of the server first, and then these bytes.
    AfterErrors(u32, Vec<u8>),
    /// That its link has expired.
    Expired,
    /// A redirect to this address.
    Redirect(String),
    /// The begin of a picture, and then nothing for so long.
    Slow(Duration),
}

/// What the server has, and how often it was asked for each.
#[derive(Debug, Default)]
pub(crate) struct Cdn {
    pub(crate) media: BTreeMap<String, Medium>,
    pub(crate) asked: BTreeMap<String, u32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    asset_id: String,
}

/// `GET …/ig_messaging_cdn/?asset_id=…&signature=…`.
pub(crate) async fn serve(State(core): State<Arc<Core>>, Query(asked): Query<Asked>) -> Response {
    let (medium, times) = core.change(|world| {
        let times = world.cdn.asked.entry(asked.asset_id.clone()).or_default();
        *times += 1;
        (world.cdn.media.get(&asked.asset_id).cloned(), *times)
    });
    let medium = medium.or_else(|| sample(&asked.asset_id).map(Medium::Bytes));
    match medium {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Medium::AfterErrors(errors, _)) if times <= errors => StatusCode::BAD_GATEWAY.into_response(),
        Some(Medium::Bytes(bytes) | Medium::AfterErrors(_, bytes)) => {
            ([(header::CONTENT_TYPE, "text/html")], bytes).into_response()
        }
        Some(Medium::Expired) => (StatusCode::FORBIDDEN, "URL signature expired").into_response(),
        Some(Medium::Redirect(to)) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Some(Medium::Slow(time)) => {
            let begin = futures::stream::iter([Ok::<_, std::io::Error>(VASE[..64].to_vec())]);
            let rest = futures::stream::once(async move {
                tokio::time::sleep(time).await;
                Ok(Vec::new())
            });
            Body::from_stream(futures::StreamExt::chain(begin, rest)).into_response()
        }
    }
}

/// What is always there: a picture, a face, and a voice message.
fn sample(name: &str) -> Option<Vec<u8>> {
    match name {
        "vase" => Some(VASE.to_vec()),
        "face" => Some(FACE.to_vec()),
        "voice" => Some(voice()),
        _ => None,
    }
}

/// A second of a tone that fades, as WAV (8 kHz, 8 bits). Voice messages of Meta's are MPEG-4.
fn voice() -> Vec<u8> {
    const RATE: u32 = 8_000;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + RATE).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(RATE.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    bytes.extend([1, 0, 8, 0]);
    bytes.extend(b"data");
    bytes.extend(RATE.to_le_bytes());
    // A triangle of 40 samples: 200 Hz.
    bytes.extend((0..RATE).map(|n| {
        let place = n % 40;
        let height = if place < 20 { place } else { 40 - place };
        let loudness = (RATE - n) * 5 / RATE;
        u8::try_from(128 - 10 * loudness + height * loudness).unwrap_or(128)
    }));
    bytes
}
