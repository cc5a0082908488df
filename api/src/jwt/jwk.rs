//! Parses one key of an identity provider (RFC 7517), if it can be used here.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Allowed RSA modulus sizes in bits: smaller ones can be factored, the library rejects larger ones.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Length in bytes of a P-256 coordinate and of an Ed25519 key.
const CURVE_BYTES: usize = 32;

/// A key that verifies signatures of one algorithm.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Key {
    /// `None` for a key that is not for signatures, is of an unsupported type, or is malformed: a key set may
    /// contain such keys for other purposes.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(json).ok()?;
        let for_signatures = jwk.used_for.as_deref().is_none_or(|used_for| used_for == "sig");
        let verifies = jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures || !verifies {
            return None;
        }
        // The key type determines the algorithm; `alg` may only confirm it.
        let (word, algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", None) => ("RS256", Algorithm::RS256, jwk.rsa()?),
            ("EC", Some("P-256")) => ("ES256", Algorithm::ES256, jwk.p256()?),
            ("OKP", Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA, jwk.ed25519()?),
            _ => return None,
        };
        if jwk.alg.is_some_and(|alg| alg != word) {
            return None;
        }
        // An error here means the key itself is invalid, e.g. a point that is not on its curve.
        crypto::verify("", b"", &key, algorithm).ok()?;
        Some(Self { kid: jwk.kid, algorithm, verifying: Arc::new(key) })
    }
}

impl Jwk {
    fn rsa(&self) -> Option<DecodingKey> {
        let (modulus, exponent) = (number(self.n.as_ref())?, number(self.e.as_ref())?);
        let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
        // With exponent 1 anyone could sign.
        let usable = odd(&modulus) && odd(&exponent) && exponent != [1] && exponent.len() <= 4;
        (RSA_BITS.contains(&bits) && usable)
            .then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    fn p256(&self) -> Option<DecodingKey> {
        /// Prefix of an uncompressed point (SEC 1).
        const UNCOMPRESSED: u8 = 4;
        let (x, y) = (curve(self.x.as_ref())?, curve(self.y.as_ref())?);
        Some(DecodingKey::from_ec_der(&[&[UNCOMPRESSED], x.as_slice(), &y].concat()))
    }

    fn ed25519(&self) -> Option<DecodingKey> {
        // Invariant: 32 bytes. The library panics on a shorter key.
        curve(self.x.as_ref()).map(|key| DecodingKey::from_ed_der(&key))
    }
}

fn bytes(text: Option<&String>) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text?).ok()
}

/// A number without leading zeros.
fn number(text: Option<&String>) -> Option<Vec<u8>> {
    Some(bytes(text)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn curve(text: Option<&String>) -> Option<Vec<u8>> {
    bytes(text).filter(|bytes| bytes.len() == CURVE_BYTES)
}
