//! Webhooks as Standard Webhooks 1.0 has them: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, and a body of
//! `type`, `timestamp` and `data`.

use crate::text::rfc_3339;
use crate::{Next, Notification, Undelivered};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::signature;
use dmrelay_runtime::http::{Call, Client, Method};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

pub(crate) const SERVICE: &str = "receiver";
pub(crate) const OPERATION: &str = "notification";

/// The answer by which a receiver says that it wants no more (Standard Webhooks, "Deliverability and reliability").
const GONE: u16 = 410;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A new secret of 256 random bits: `whsec_` and base64.
pub fn new_secret() -> Secret<String> {
    let bytes: [u8; 32] = rand::random();
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// The bytes that sign; `None` if the text is no secret.
pub fn secret_bytes(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()
}

/// Makes one attempt. Gives the status of the answer.
pub(crate) async fn send(
    client: &Client,
    (url, secrets): (Url, &[Secret<String>]),
    notification: &Notification,
    (now, timeout): (Millis, Duration),
) -> Result<u16, Undelivered> {
    let body = body(notification).to_string();
    let (id, seconds) = (notification.id.to_string(), now / 1_000);
    let sign = |secret: &Secret<String>| {
        let secret = secret_bytes(secret.expose())?;
        Some(signature::sign_webhook(&secret, (&id, seconds), body.as_bytes()))
    };
    let signatures: Vec<String> = secrets.iter().filter_map(sign).collect();
    let headers = vec![
        ("webhook-id", id.clone()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    let call = Call {
        method: Method::POST,
        signed_json: Some(Bytes::from(body)),
        headers,
        ..Call::get((SERVICE, OPERATION), url, timeout)
    };
    let answer = client.send(call).await.map_err(|err| Undelivered::retry(err.to_string()))?;
    if answer.is_success() {
        return Ok(answer.status);
    }
    let next = match (answer.status, answer.retry_after) {
        (GONE, _) => Next::Gone,
        (_, Some(wait)) => Next::RetryAfter(wait),
        (_, None) => Next::Retry,
    };
    let redirected = if (300..400).contains(&answer.status) { "; redirects are not followed" } else { "" };
    let what = format!("the receiver answered with {}{redirected}", answer.status);
    Err(Undelivered { what, status: Some(answer.status), next })
}

fn body(notification: &Notification) -> Value {
    let data = match &notification.incident {
        None => json!({"message": crate::text::TEST}),
        Some(incident) => {
            let account = incident.account.as_ref();
            json!({
                "incidentId": incident.id.to_string(),
                "kind": incident.kind.as_str(),
                "title": incident.kind.title(),
                "message": incident.detail,
                "advice": incident.kind.advice(),
                "subaccountId": incident.subaccount,
                "connectionId": account.map(|account| account.connection.to_string()),
                "instagramAccountId": account.map(|account| account.instagram_account_id.as_str()),
                "username": account.and_then(|account| account.username.as_deref()),
                "since": rfc_3339(incident.since),
                "endedAt": incident.ended_at.map(rfc_3339),
            })
        }
    };
    json!({"type": notification.kind.as_str(), "timestamp": rfc_3339(notification.at), "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_others_are_none() {
        let secret = new_secret();
        assert_eq!(secret_bytes(secret.expose()).map(|bytes| bytes.len()), Some(32));
        assert_ne!(new_secret(), secret);
        for odd in ["", "whsec_", "whsec_%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(secret_bytes(odd).is_none_or(|bytes| bytes.is_empty()), "{odd}");
        }
    }
}
