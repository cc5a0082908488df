//! The deduplication key of an event, the same however often Meta delivers it.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of what identifies an event; see [`EventKey::of`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey(pub [u8; 32]);

impl EventKey {
    /// The key of an event of `account` with the JSON key `wire`. `mid` is Meta's message id; `repeat`
    /// distinguishes several events about one message. Without a mid, the canonical JSON of the item replaces
    /// both.
    pub(super) fn of(account: &str, wire: &str, mid: Option<&str>, repeat: &[&str], item: &Value) -> Self {
        let mut hash = Sha256::new();
        // Every part is prefixed with its length, so that different lists of parts never collide.
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part(account);
        part(wire);
        if let Some(mid) = mid {
            part("mid");
            part(mid);
            for text in repeat {
                part(text);
            }
        } else {
            part("json");
            let mut text = String::new();
            canonical(item, &mut text);
            part(&text);
        }
        Self(hash.finalize().into())
    }

    /// The key of bytes that are not an event.
    pub(super) fn of_bytes(account: &str, bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update((account.len() as u64).to_be_bytes());
        hash.update(account.as_bytes());
        hash.update(bytes);
        Self(hash.finalize().into())
    }

    /// Lower-case hexadecimal, as in the database and in job keys.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// JSON with sorted keys and no white space, so that differently formatted items give the same text.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}
