//! Meta's webhook signature: `X-Hub-Signature-256: sha256=<hex of HMAC-SHA256(app secret, raw body)>` (Meta,
//! "Webhooks: validating payloads"). Meta signs the bytes it sends, including escapes, so the raw bytes are
//! verified; reserialized JSON would not match.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether `header` (`sha256=<64 hex digits>`) signs `body` under `secret`. Constant time in the digest.
pub fn verify(secret: &[u8], body: &[u8], header: &str) -> bool {
    match claimed(header) {
        Some(digest) => verify_digest(secret, body, &digest),
        None => false,
    }
}

/// Parses the digest of a header; `None` if it is malformed.
pub fn claimed(header: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(header.strip_prefix("sha256=")?, &mut digest).ok()?;
    Some(digest)
}

/// Whether `digest` is the HMAC of `body` under `secret`, compared in constant time.
pub fn verify_digest(secret: &[u8], body: &[u8], digest: &[u8; 32]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(digest).is_ok()
}

/// The header's value for `body`, as Meta would send it.
pub fn sign(secret: &[u8], body: &[u8]) -> String {
    format!("sha256={}", hmac(secret, body))
}

/// `appsecret_proof`: that whoever sends an access token also has the secret of the app it was made for (Meta, "Secure Graph API
/// calls").
pub fn app_secret_proof(secret: &[u8], token: &[u8]) -> String {
    hmac(secret, token)
}

/// The signature of a webhook that we send (Standard Webhooks 1.0, "Signature scheme"): `v1,` and HMAC-SHA256 of its id, its time in
/// seconds, and its body, as base64. `secret` is what the text after `whsec_` decodes to.
pub fn sign_webhook(secret: &[u8], (id, seconds): (&str, i64), body: &[u8]) -> String {
    let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(digest(secret, &signed)))
}

/// HMAC-SHA256 in hexadecimal digits.
fn hmac(secret: &[u8], message: &[u8]) -> String {
    hex::encode(digest(secret, message))
}

/// HMAC-SHA256.
fn digest(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(message);
        mac.finalize().into_bytes().into()
    });
    mac.unwrap_or_default()
}

/// SHA-256, for keys and for secrets that are only compared.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Whether two byte strings are equal, in time that depends only on their lengths.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"test_app_secret";
    const BODY: &[u8] = br#"{"object":"instagram","entry":[{"time":1772998024000,"id":"17841400000000000","messaging":[{"sender":{"id":"200000000000001"},"recipient":{"id":"17841400000000000"},"timestamp":1772998023000,"message":{"mid":"m1","text":"\u00e4\u00f6\u00e5 \ud83d\udc4b https:\/\/example.com\/a"}}]}]}"#;
    const HEADER: &str = "sha256=0f351350ad90faa7f1097a0df6c21ca11343625ae9263401ad6deffe263b4d8e";

    /// The vector of the specification's reference implementations.
    #[test]
    fn webhooks_are_signed_as_the_standard_says() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = sign_webhook(&secret, ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330), body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn known_answer() {
        assert!(verify(SECRET, BODY, HEADER));
        assert_eq!(sign(SECRET, BODY), HEADER);
    }

    #[test]
    fn a_proof_is_of_the_token() {
        let proof = "6bf65044b322f55f0e53897e2f620d3d765d3f7e6fafce27d7df8dc533430f02";
        assert_eq!(app_secret_proof(SECRET, b"TOKEN"), proof);
    }

    #[test]
    fn a_reserialized_body_does_not_verify() {
        let value: serde_json::Value = serde_json::from_slice(BODY).unwrap();
        assert!(!verify(SECRET, value.to_string().as_bytes(), HEADER));
    }

    #[test]
    fn malformed_signatures_are_rejected() {
        for header in
            ["", "sha256=", "sha1=cdaa6069111dd49209d1c258a9322e9786979d0f", &HEADER[7..], &HEADER[..70]]
        {
            assert!(!verify(SECRET, BODY, header), "{header:?}");
        }
        assert!(!verify(b"other", BODY, HEADER));
    }
}
