//! Other requests from Meta: the handshake and the dashboard's test event; and arbitrary bodies, for hostile
//! tests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::delivery::{headers, post, target_of};
use super::encode;
use crate::engine::Core;
use crate::ids;
use crate::settings::WebhookTarget;

/// A receiver's response to the handshake.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The body, or why there is none.
    pub body: String,
    /// 200, and exactly the challenge.
    pub accepted: bool,
}

/// How a raw body is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// With the target's secret.
    #[default]
    Right,
    /// With a wrong secret.
    Wrong,
    /// Unsigned.
    Missing,
}

/// An arbitrary body, POSTed once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawWebhook {
    /// The account whose target receives it; the common target if `None`.
    #[serde(default)]
    pub account: Option<String>,
    /// The bytes.
    pub body: String,
    /// How it is signed.
    #[serde(default)]
    pub signing: Signing,
}

/// The result of sending a raw body.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRaw {
    /// HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
}

/// `GET ?hub.mode=subscribe&hub.challenge=…&hub.verify_token=…`, with the target's token or another.
pub(crate) async fn handshake(
    core: &Arc<Core>,
    account: Option<&str>,
    verify_token: Option<&str>,
) -> Handshake {
    let Some(target) = target(core, account) else {
        return Handshake { status: None, body: "no webhook target".to_owned(), accepted: false };
    };
    let challenge = ids::digits(10);
    let query = [
        ("hub.mode", "subscribe"),
        ("hub.challenge", challenge.as_str()),
        ("hub.verify_token", verify_token.unwrap_or(&target.verify_token)),
    ];
    let request = core.courier.client().get(&target.url).query(&query).timeout(Duration::from_secs(5));
    match request.send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap_or_default();
            Handshake { accepted: status == 200 && body == challenge, status: Some(status), body }
        }
        Err(error) => Handshake { status: None, body: format!("{error:?}"), accepted: false },
    }
}

/// POSTs a body once, signed as requested.
pub(crate) async fn send_raw(core: &Arc<Core>, raw: RawWebhook) -> SentRaw {
    let Some(target) = target(core, raw.account.as_deref()) else {
        return SentRaw { status: None, error: Some("no webhook target".to_owned()) };
    };
    let body = Bytes::from(raw.body);
    let signer = match raw.signing {
        Signing::Wrong => {
            WebhookTarget { app_secret: format!("not {}", target.app_secret), ..target.clone() }
        }
        Signing::Right | Signing::Missing => target.clone(),
    };
    let mut headers = headers(core, &signer, &body);
    if raw.signing == Signing::Missing {
        headers.remove(HeaderName::from_static("x-hub-signature"));
        headers.remove(HeaderName::from_static("x-hub-signature-256"));
    }
    match post(core.courier.client(), &target.url, headers, body, Duration::from_secs(5)).await {
        Ok(status) => SentRaw { status: Some(status), error: None },
        Err(error) => SentRaw { status: None, error: Some(error) },
    }
}

/// The event of the dashboard's "Test" button: entry id 0, a timestamp in a string (chatwoot, comments of its job).
/// For Instagram Login it comes in `changes[]`.
pub(crate) fn dashboard_test(instagram_login: bool) -> String {
    let item = json!({
        "sender": {"id": "12334"}, "recipient": {"id": "23245"}, "timestamp": "1527459824",
        "message": {"mid": "random_mid", "text": "random_text"},
    });
    let entry = if instagram_login {
        json!({"id": "0", "time": 1_527_459_824, "changes": [{"field": "messages", "value": item}]})
    } else {
        json!({"id": "0", "time": 1_527_459_824, "messaging": [item]})
    };
    encode::escaped(&json!({"object": "instagram", "entry": [entry]}))
}

fn target(core: &Core, account: Option<&str>) -> Option<WebhookTarget> {
    core.read(|world| match account {
        Some(account) => target_of(world, account),
        None => world.settings.webhooks.target.clone(),
    })
}
