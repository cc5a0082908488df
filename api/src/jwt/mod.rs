//! JWT authentication: whether a token is valid, and what it grants.
//!
//! The library checks signatures; which algorithm and key are acceptable is decided here, never by the token.
//! Each part of a token is parsed once, after its signature is verified where it has one, so that what is
//! checked is what is used.

mod claims;
mod jwk;
mod jwks;
#[cfg(test)]
mod tests;

pub(crate) use claims::{Grants, Identity};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use claims::Rules;
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_runtime::http::{Call, Client, Method, is_private_path};
use dmrelay_runtime::settings::{InvalidSetting, JwtSettings};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use jwks::Jwks;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use url::Url;

/// Maximum length of a token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Minimum length of a shared secret, in characters.
const SECRET_MIN: usize = 32;

/// The algorithms available with public keys.
const PUBLIC_KEY_ALGORITHMS: [(&str, Algorithm); 3] =
    [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)];

/// The algorithm used with a shared secret.
const SECRET_ALGORITHM: (&str, Algorithm) = ("HS256", Algorithm::HS256);

/// Why a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token is invalid, for this reason, which may be shown to the caller.
    #[error("{0}")]
    Invalid(&'static str),
    /// Undecided: there are no keys, and none can be fetched.
    #[error("cannot fetch the identity provider's keys")]
    Unavailable,
}

/// Verifies tokens; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    keys: Keys,
    /// The accepted algorithms, by their name in a token's header. There is no `none`.
    algorithms: Vec<(&'static str, Algorithm)>,
    rules: Rules,
    clock: Arc<dyn Clock>,
}

enum Keys {
    Secret(Arc<DecodingKey>),
    Published(Arc<Jwks>),
}

impl Tokens {
    /// JWT authentication as configured; `None` without a secret or a key set URL.
    ///
    /// # Errors
    /// An invalid setting.
    pub(crate) fn new(settings: &JwtSettings, client: Client) -> Result<Option<Self>, InvalidSetting> {
        Self::with_clock(settings, client, Arc::new(SystemClock))
    }

    /// The same with another clock, for tests.
    fn with_clock(
        settings: &JwtSettings,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Self>, InvalidSetting> {
        let secret = settings.secret.get()?;
        if secret.is_none() && settings.jwks_url.is_none() {
            return Ok(None);
        }
        let rules = Rules::new(settings)?;
        let published = algorithms(&settings.jwt_algorithms)?;
        let (keys, algorithms) = match (secret, &settings.jwks_url) {
            (Some(_), Some(_)) => {
                return Err(invalid("JWT_SECRET", "must not be given together with JWKS_URL"));
            }
            (Some(secret), None) => {
                if secret.expose().chars().count() < SECRET_MIN {
                    let what = format!("must have at least {SECRET_MIN} characters");
                    return Err(InvalidSetting { name: "JWT_SECRET", what });
                }
                let key = DecodingKey::from_secret(secret.expose().as_bytes());
                (Keys::Secret(Arc::new(key)), vec![SECRET_ALGORITHM])
            }
            (None, url) => {
                let call = call(settings, url.as_ref())?;
                (Keys::Published(Arc::new(Jwks::new(settings, client, call, Arc::clone(&clock)))), published)
            }
        };
        Ok(Some(Self(Arc::new(Inner { keys, algorithms, rules, clock }))))
    }

    /// The token's identity and grants, if it is genuine, meant for this audience, and currently valid.
    ///
    /// # Errors
    /// [`TokenError`]
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let token = Token::split(token)?;
        let algorithm = self.0.algorithms.iter().find(|(word, _)| *word == token.header.alg);
        let Some((_, algorithm)) = algorithm else {
            return Err(TokenError::Invalid("its signature algorithm is not accepted"));
        };
        let key = match &self.0.keys {
            Keys::Secret(key) => Arc::clone(key),
            Keys::Published(jwks) => jwks.key(token.header.kid.as_deref(), *algorithm).await?,
        };
        match crypto::verify(token.signature, token.signed.as_bytes(), &key, *algorithm) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(TokenError::Invalid("its signature is not valid")),
        }
        self.0.rules.identity(&decoded(token.claims)?, self.0.clock.now())
    }
}

/// The parts of a token.
struct Token<'a> {
    header: Header,
    claims: &'a str,
    signature: &'a str,
    /// The signed part.
    signed: &'a str,
}

/// The header fields in use. Embedded keys and key URLs (`jwk`, `jku`, `x5u`) are ignored: a token must not
/// choose what to trust.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// What kind of token it is.
    #[serde(default)]
    typ: Option<String>,
    /// Whether the token lists critical extensions (`crit`); none is supported.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'a> Token<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid("it is too long"));
        }
        let unreadable = TokenError::Invalid("it is not a signed token");
        let (signed, signature) = token.rsplit_once('.').ok_or(unreadable)?;
        let (header, claims) = signed.split_once('.').ok_or(unreadable)?;
        if claims.contains('.') {
            return Err(unreadable);
        }
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| unreadable)?;
        // A token for another purpose (an identity token, a logout token) grants nothing (RFC 8725 §3.11; RFC 9068).
        let typ =
            header.typ.as_deref().map(|typ| typ.trim_start_matches("application/").to_ascii_lowercase());
        if typ.is_some_and(|typ| !matches!(typ.as_str(), "jwt" | "at+jwt")) {
            return Err(TokenError::Invalid("its type (typ) is not accepted"));
        }
        if header.crit {
            return Err(TokenError::Invalid("it needs an extension that is not supported"));
        }
        Ok(Self { header, claims, signature, signed })
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid("it is not a signed token"))
}

/// Records that a member is present, even if its value is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

fn algorithms(words: &[String]) -> Result<Vec<(&'static str, Algorithm)>, InvalidSetting> {
    let known = |word: &str| PUBLIC_KEY_ALGORITHMS.into_iter().find(|(known, _)| *known == word);
    let algorithm = |word: &String| {
        let what = || format!("{word:?} is not one of RS256, ES256, EdDSA");
        known(word.trim()).ok_or_else(|| InvalidSetting { name: "JWT_ALGORITHMS", what: what() })
    };
    if words.is_empty() {
        return Err(invalid("JWT_ALGORITHMS", "names none"));
    }
    words.iter().map(algorithm).collect()
}

/// The request that fetches the keys.
fn call(settings: &JwtSettings, url: Option<&Url>) -> Result<Call, InvalidSetting> {
    let Some(url) = url.filter(|url| is_private_path(url)) else {
        return Err(invalid("JWKS_URL", "must be https, or http to this machine"));
    };
    Ok(Call {
        service: "jwks",
        operation: "keys",
        method: Method::GET,
        url: url.clone(),
        bearer: None,
        json: None,
        timeout: settings.jwks_timeout,
    })
}

fn invalid(name: &'static str, what: &str) -> InvalidSetting {
    InvalidSetting { name, what: what.to_owned() }
}
