//! New API keys.

use dmrelay_domain::signature;

/// A new key of 256 random bits, and its hash, which is all that is stored.
pub(crate) fn generate() -> (String, [u8; 32]) {
    let secret: [u8; 32] = rand::random();
    let key = format!("dmr_{}", hex::encode(secret));
    let hash = signature::sha256(key.as_bytes());
    (key, hash)
}
