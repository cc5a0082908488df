//! Creation of API keys.

use crate::signature;

/// Maximum length of a name, in bytes.
pub const NAME_MAX: usize = 100;

/// Whether the text is a valid name for a key.
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_MAX && name.chars().all(|c| !c.is_control())
}

/// A new key of 256 random bits, and its hash; only the hash is stored.
pub fn generate() -> (String, [u8; 32]) {
    let secret: [u8; 32] = rand::random();
    let key = format!("dmr_{}", hex::encode(secret));
    let hash = signature::sha256(key.as_bytes());
    (key, hash)
}
