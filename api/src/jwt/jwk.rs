//! Parses one key of an identity provider (RFC 7517), if it can be used here.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse, RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Allowed RSA modulus sizes in bits: smaller ones can be factored, the library rejects larger ones.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Length of an Ed25519 key, in bytes.
const ED25519_BYTES: usize = 32;

/// A key that verifies signatures of one algorithm.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: Arc<DecodingKey>,
}

impl Key {
    /// `None` for a key that is not for signatures, is of an unsupported type, or is malformed: a key set may
    /// contain such keys for other purposes.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let jwk = Jwk::deserialize(json).ok()?;
        let of = &jwk.common;
        let for_signatures = of.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
        let verifies = of.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
        if !for_signatures || !verifies {
            return None;
        }
        // The key type determines the algorithm; `alg` may only confirm it.
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if is_strong(rsa) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
            // The library panics on a shorter key.
            AlgorithmParameters::OctetKeyPair(okp)
                if okp.curve == EllipticCurve::Ed25519 && bytes(&okp.x)?.len() == ED25519_BYTES =>
            {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        if of.key_algorithm.is_some_and(|alg| alg != KeyAlgorithm::from(algorithm)) {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        // An error here means the key itself is invalid, e.g. a point that is not on its curve.
        crypto::verify("", b"", &key, algorithm).ok()?;
        Some(Self { kid: jwk.common.key_id, algorithm, verifying: Arc::new(key) })
    }
}

/// Whether nobody can sign in place of the holder of the key: with exponent 1 anyone could.
fn is_strong(rsa: &RSAKeyParameters) -> bool {
    let number =
        |text: &str| Some(bytes(text)?.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>());
    let (Some(modulus), Some(exponent)) = (number(&rsa.n), number(&rsa.e)) else { return false };
    let Some(first) = modulus.first() else { return false };
    let bits = modulus.len() * 8 - first.leading_zeros() as usize;
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    RSA_BITS.contains(&bits) && odd(&modulus) && odd(&exponent) && exponent != [1] && exponent.len() <= 4
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
