//! Tokens of a fake identity provider, signed with a shared secret (HS256, RFC 7518).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_domain::signature;
use dmrelay_runtime::settings::{JwtSecretArg, JwtSettings};
use serde_json::{Value, json};

/// The shared secret of the tests.
pub const SECRET: &str = "test-jwt-secret-0123456789abcdefghij";

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "dmrelay-tests";

/// Makes a process accept these tokens.
pub fn accept(settings: &mut JwtSettings) {
    settings.secret = JwtSecretArg::of(SECRET);
    settings.jwt_issuer = Some(ISSUER.to_owned());
    settings.jwt_audience = Some(AUDIENCE.to_owned());
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    SystemClock.now() / 1_000
}

/// The claims of a valid token, with these changes.
pub fn claims(more: &Value) -> Value {
    let mut claims =
        json!({ "sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 600, "iat": now() });
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name.as_str()] = value.clone();
    }
    claims
}

/// A token with these claims.
pub fn sign(claims: &Value) -> String {
    sign_with(SECRET, claims)
}

/// A token signed with another secret.
pub fn sign_with(secret: &str, claims: &Value) -> String {
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let mac = signature::sign(secret.as_bytes(), signed.as_bytes());
    let mac = hex::decode(mac.trim_start_matches("sha256=")).unwrap_or_default();
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
}

/// A token that claims to need no signature.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(claims))
}

fn part(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}
