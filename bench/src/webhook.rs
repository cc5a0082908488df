//! Webhooks as Meta sends them, one message each, all distinct, signed beforehand.

use crate::http::Whole;
use anyhow::Result;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use std::ops::Range;

/// The account everything is sent to.
pub(crate) const ACCOUNT: &str = "17841400000000001";

/// The secret of the Meta app.
pub(crate) const APP_SECRET: &str = "bench-app-secret";

/// The users the load generator writes for.
pub(crate) const USERS: u64 = 10_000;

/// What stands for the number of a message, and for that of its user.
const NUMBER: &str = "000000000000";
const USER: &str = "2000000000";

/// Messages that are all different, numbered from 0.
pub(crate) struct Volley {
    /// A body with placeholders.
    body: Vec<u8>,
    user: Range<usize>,
    number: Range<usize>,
    /// What every request has.
    headers: HeaderMap,
    mac: Hmac<Sha256>,
    /// Of the first messages; later ones are signed when they are sent.
    signatures: Vec<[u8; 32]>,
}

impl Volley {
    /// Messages of the time `now_ms`, the first `prepared` of them signed. Another `round` has other messages.
    pub(crate) fn prepare(round: u16, now_ms: i64, prepared: u64) -> Result<Self> {
        // Ids as long as Meta's.
        let mid = format!("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQx{:Q>100}{round:05}{NUMBER}ZDZD", "");
        let text = "Hello! Do you have this one in blue, and could I pick it up on Saturday?";
        let body = format!(
            r#"{{"object":"instagram","entry":[{{"time":{now_ms},"id":"{ACCOUNT}","messaging":[{{"sender":{{"id":"{}"}},"recipient":{{"id":"{ACCOUNT}"}},"timestamp":{now_ms},"message":{{"mid":"{mid}","text":"{text}"}}}}]}}]}}"#,
            user_id(0)
        );
        let place = |what: &str, length: usize| {
            let start = body.find(what).unwrap_or_default() + what.len() - length;
            start..start + length
        };
        let mut volley = Self {
            user: place(&user_id(0), 6),
            number: place(&format!("{round:05}{NUMBER}"), NUMBER.len()),
            body: body.into_bytes(),
            headers: headers(),
            mac: Hmac::new_from_slice(APP_SECRET.as_bytes())?,
            signatures: Vec::new(),
        };
        let mut body = volley.body.clone();
        let signed = (0..prepared).map(|number| {
            volley.number(&mut body, number);
            volley.sign(&body)
        });
        let signatures = signed.collect();
        volley.signatures = signatures;
        Ok(volley)
    }

    /// The request of message `number` to this host.
    pub(crate) fn request(&self, host: &HeaderValue, number: u64) -> Result<Whole> {
        let mut body = self.body.clone();
        self.number(&mut body, number);
        let prepared = usize::try_from(number).ok().and_then(|at| self.signatures.get(at).copied());
        let signature = hex::encode(prepared.unwrap_or_else(|| self.sign(&body)));
        let mut request = Request::post("/webhooks/instagram").body(Full::from(body))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(header::HOST, host.clone());
        headers.insert("x-hub-signature-256", format!("sha256={signature}").try_into()?);
        Ok(request)
    }

    fn number(&self, body: &mut [u8], number: u64) {
        digits(&mut body[self.number.clone()], number);
        digits(&mut body[self.user.clone()], number % USERS);
    }

    fn sign(&self, body: &[u8]) -> [u8; 32] {
        self.mac.clone().chain_update(body).finalize().into_bytes().into()
    }
}

/// As Meta's.
fn headers() -> HeaderMap {
    let own = [
        (header::USER_AGENT, "facebookexternalua"),
        (header::ACCEPT_ENCODING, "deflate, gzip"),
        (header::CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("facebook-api-version"), "v23.0"),
    ];
    own.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// The id of a user, from its number.
pub(crate) fn user_id(number: u64) -> String {
    format!("{USER}{number:06}")
}

/// Writes a number with leading zeros.
fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn every_request_is_signed_and_its_own() {
        let volley = Volley::prepare(7, 1_753_742_689_000, 2).unwrap();
        let host = HeaderValue::from_static("127.0.0.1:8080");
        let mut mids = Vec::new();
        // The third is signed when it is sent.
        for number in 0..3 {
            let (head, body) = volley.request(&host, number).unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let claimed = head.headers["x-hub-signature-256"].to_str().unwrap();
            assert_eq!(claimed, format!("sha256={}", hex::encode(volley.sign(&body))));
            assert_eq!((&head.headers[header::HOST], head.uri.path()), (&host, "/webhooks/instagram"));
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let item = &json["entry"][0]["messaging"][0];
            assert_eq!(item["sender"]["id"], user_id(number));
            mids.push(item["message"]["mid"].as_str().unwrap().to_owned());
        }
        mids.dedup();
        assert_eq!(mids.len(), 3);
        let other = Volley::prepare(8, 1_753_742_689_000, 0).unwrap();
        assert_ne!(other.body, volley.body);
    }
}
