//! Identifiers in the formats of the two services.

use rand::RngExt;
use rand::distr::Alphanumeric;

/// A message id: opaque, about 160 characters, base64-like (Meta, "Webhooks: examples"; its inner format is an assumption).
pub(crate) fn message_id() -> String {
    format!("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQx{}ZDZD", letters(112))
}

/// A conversation id of the Conversations API.
pub(crate) fn conversation_id() -> String {
    format!("aWdfZAG06MTpJR01lc3NhZA2VUaHJlYWQ6{}", letters(48))
}

/// A Retell id: `chat_…`, `msg_…`, `tool_…`.
pub(crate) fn retell_id(kind: &str) -> String {
    format!("{kind}_{}", letters(27).to_ascii_lowercase())
}

/// Digits, as Meta's numeric ids.
pub(crate) fn digits(count: usize) -> String {
    let mut rng = rand::rng();
    (0..count).map(|_| char::from(b'0' + rng.random_range(0..10_u8))).collect()
}

/// Letters and digits.
pub(crate) fn letters(count: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(count).map(char::from).collect()
}
