//! Meta's `signed_request`, by which it tells that somebody removed the app or wants their data deleted (Meta, "Data deletion
//! request callback"): `<signature>.<payload>`, both base64url without padding; the signature is the HMAC-SHA256 of the encoded
//! payload under the app secret.

use crate::signature;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// What a signed request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// Whom it is about, as the app that signed it knows them.
    pub user_id: String,
    /// When it was signed, in seconds since the epoch.
    pub issued_at: Option<i64>,
    digest: [u8; 32],
    payload: String,
}

impl SignedRequest {
    /// Reads a signed request, whoever has signed it. None if it is malformed, names nobody or another algorithm.
    pub fn read(text: &str) -> Option<Self> {
        let (signed, payload) = text.split_once('.')?;
        let digest = BASE64_URL_SAFE_NO_PAD.decode(signed.trim_end_matches('=')).ok()?.try_into().ok()?;
        let json = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let json: Value = serde_json::from_slice(&json).ok()?;
        if !json["algorithm"].as_str()?.eq_ignore_ascii_case("HMAC-SHA256") {
            return None;
        }
        // Meta writes ids as strings or numbers.
        let user_id = match &json["user_id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => return None,
        };
        let is_id = (1..=64).contains(&user_id.len()) && user_id.bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| Self {
            user_id,
            issued_at: json["issued_at"].as_i64(),
            digest,
            payload: payload.to_owned(),
        })
    }

    /// Whether this secret has signed it; constant time.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        signature::verify_digest(secret.as_bytes(), self.payload.as_bytes(), &self.digest)
    }

    /// The text of a signed request, as Meta would send it.
    pub fn sign(secret: &str, user_id: &str, issued_at: i64) -> String {
        let payload =
            serde_json::json!({"algorithm": "HMAC-SHA256", "issued_at": issued_at, "user_id": user_id});
        let payload = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
        let digest =
            signature::claimed(&signature::sign(secret.as_bytes(), payload.as_bytes())).unwrap_or_default();
        format!("{}.{payload}", BASE64_URL_SAFE_NO_PAD.encode(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by an independent implementation.
    const KNOWN: &str = "MgChNJTM9CJ75wlk7iDsf-5_LH4rMfst5fvUhiJRiqg.eyJhbGdvcml0aG0iOiJITUFDLVNIQTI1NiIsImV4cGlyZXMiOjEyOTE4NDA0MDAsImlzc3VlZF9hdCI6MTI5MTgzNjgwMCwidXNlcl9pZCI6IjIxODQ3MSJ9";

    #[test]
    fn known_answer() {
        let request = SignedRequest::read(KNOWN).unwrap();
        assert_eq!((request.user_id.as_str(), request.issued_at), ("218471", Some(1_291_836_800)));
        assert!(request.is_signed_by("test_app_secret"));
        assert!(!request.is_signed_by("another secret"));
    }

    #[test]
    fn what_is_signed_is_read_back_and_what_is_changed_is_not_believed() {
        let text = SignedRequest::sign("secret", "17841400000000001", 5);
        let request = SignedRequest::read(&text).unwrap();
        assert!(request.is_signed_by("secret"));
        assert_eq!((request.user_id.as_str(), request.issued_at), ("17841400000000001", Some(5)));
        let (_, other) = text.split_once('.').unwrap();
        let (signed, _) = KNOWN.split_once('.').unwrap();
        assert!(!SignedRequest::read(&format!("{signed}.{other}")).unwrap().is_signed_by("secret"));
        let encoded = |json: &str| format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(json));
        for bad in [
            String::new(),
            "a.b".to_owned(),
            KNOWN.replace('.', ""),
            encoded(r#"{"algorithm":"none","user_id":"1"}"#),
            encoded(r#"{"algorithm":"HMAC-SHA256"}"#),
            encoded(r#"{"algorithm":"HMAC-SHA256","user_id":"../1"}"#),
        ] {
            assert_eq!(SignedRequest::read(&bad), None, "{bad}");
        }
    }
}
