//! JWT authentication: whether a token is valid, and what it grants.
//!
//! The library decodes a token, checks its signature, and validates its times, issuer and audience; which algorithm and key are
//! acceptable is decided here, never by the token.

mod claims;
mod jwk;
mod jwks;
#[cfg(test)]
mod tests;

pub(crate) use claims::{Grants, Identity};

use claims::Rules;
use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_runtime::http::{Call, Client, is_private_path};
use dmrelay_runtime::settings::{InvalidSetting, JwtSettings};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use jwks::Jwks;
use std::sync::Arc;
use url::Url;

/// Maximum length of a token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Minimum length of a shared secret, in characters.
const SECRET_MIN: usize = 32;

/// The algorithms available with public keys.
const PUBLIC_KEY_ALGORITHMS: [(&str, Algorithm); 3] =
    [("RS256", Algorithm::RS256), ("ES256", Algorithm::ES256), ("EdDSA", Algorithm::EdDSA)];

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
    /// The accepted algorithms. There is no `none`.
    algorithms: Vec<Algorithm>,
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
                (Keys::Secret(Arc::new(key)), vec![Algorithm::HS256])
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
        let header = header_of(token)?;
        if !self.0.algorithms.contains(&header.alg) {
            return Err(TokenError::Invalid("its signature algorithm is not accepted"));
        }
        let key = match &self.0.keys {
            Keys::Secret(key) => Arc::clone(key),
            Keys::Published(jwks) => jwks.key(header.kid.as_deref(), header.alg).await?,
        };
        let validation = self.0.rules.validation(header.alg);
        let decoded = jsonwebtoken::decode(token, &key, &validation).map_err(|err| reason(err.kind()))?;
        self.0.rules.identity(&decoded.claims, self.0.clock.now())
    }
}

/// The header of a token that may be verified. Keys in it and addresses of keys (`jwk`, `jku`, `x5u`) are ignored: a token must
/// not choose what to trust.
fn header_of(token: &str) -> Result<Header, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Invalid("it is too long"));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|err| reason(err.kind()))?;
    // A token for another purpose (an identity token, a logout token) grants nothing (RFC 8725 §3.11; RFC 9068).
    let typ = header.typ.as_deref().map(|typ| typ.trim_start_matches("application/").to_ascii_lowercase());
    if typ.is_some_and(|typ| !matches!(typ.as_str(), "jwt" | "at+jwt")) {
        return Err(TokenError::Invalid("its type (typ) is not accepted"));
    }
    // Extensions that must be understood; none is supported.
    if header.crit.is_some() {
        return Err(TokenError::Invalid("it needs an extension that is not supported"));
    }
    Ok(header)
}

/// Why the library rejects a token, in words that may be shown to the caller.
fn reason(kind: &ErrorKind) -> TokenError {
    TokenError::Invalid(match kind {
        ErrorKind::InvalidSignature => "its signature is not valid",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it comes from another issuer (iss)",
        ErrorKind::InvalidAudience => "it is for another audience (aud)",
        ErrorKind::InvalidClaimFormat(claim) if claim == "nbf" => "its nbf claim is not a time",
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            match claim.as_str() {
                "exp" => "it has no expiry (exp)",
                "iss" => "it has no issuer (iss)",
                "aud" => "it has no audience (aud)",
                _ => "a claim is missing",
            }
        }
        _ => "it is not a signed token",
    })
}

fn algorithms(words: &[String]) -> Result<Vec<Algorithm>, InvalidSetting> {
    let known = |word: &str| {
        PUBLIC_KEY_ALGORITHMS.into_iter().find(|(known, _)| *known == word).map(|(_, algorithm)| algorithm)
    };
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
    Ok(Call::get(("jwks", "keys"), url.clone(), settings.jwks_timeout))
}

fn invalid(name: &'static str, what: &str) -> InvalidSetting {
    InvalidSetting { name, what: what.to_owned() }
}
