//! Webhooks as Meta sends them, one message each, all distinct, signed beforehand.

use anyhow::Result;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::SocketAddr;
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
    mac: Hmac<Sha256>,
    /// Of the first messages; later ones are signed when they are sent.
    signatures: Vec<[u8; 32]>,
}

/// One request, written over for each message.
pub(crate) struct Request {
    bytes: Vec<u8>,
    signature: Range<usize>,
    body: usize,
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

    /// A request to `addr`, to be written over.
    pub(crate) fn request(&self, addr: SocketAddr) -> Request {
        let mut head = format!(
            "POST /webhooks/instagram HTTP/1.1\r\nhost: {addr}\r\nuser-agent: facebookexternalua\r\n\
             accept-encoding: deflate, gzip\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             facebook-api-version: v23.0\r\nx-hub-signature-256: sha256=",
            self.body.len()
        );
        let signature = head.len()..head.len() + 64;
        head.push_str(&"0".repeat(64));
        head.push_str("\r\n\r\n");
        let body = head.len();
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        Request { bytes, signature, body }
    }

    /// Makes the request that of message `number`.
    pub(crate) fn aim<'a>(&self, request: &'a mut Request, number: u64) -> &'a [u8] {
        let body = &mut request.bytes[request.body..];
        self.number(body, number);
        let prepared = usize::try_from(number).ok().and_then(|at| self.signatures.get(at).copied());
        let signature = prepared.unwrap_or_else(|| self.sign(body));
        // Both lengths are fixed, so it always fits.
        let _ = hex::encode_to_slice(signature, &mut request.bytes[request.signature.clone()]);
        &request.bytes
    }

    fn number(&self, body: &mut [u8], number: u64) {
        digits(&mut body[self.number.clone()], number);
        digits(&mut body[self.user.clone()], number % USERS);
    }

    fn sign(&self, body: &[u8]) -> [u8; 32] {
        self.mac.clone().chain_update(body).finalize().into_bytes().into()
    }
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

    #[test]
    fn every_request_is_whole_signed_and_its_own() {
        let volley = Volley::prepare(7, 1_753_742_689_000, 2).unwrap();
        let mut request = volley.request(([127, 0, 0, 1], 8080).into());
        let mut mids = Vec::new();
        // The third is signed when it is sent.
        for number in 0..3 {
            let bytes = volley.aim(&mut request, number).to_vec();
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let claimed = head.rsplit_once("sha256=").unwrap().1;
            assert_eq!(claimed, hex::encode(volley.sign(body.as_bytes())));
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
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
