//! Creation of API keys.

use crate::signature;
use crate::text::is_printable;

/// Maximum length of a name, in bytes.
pub const NAME_MAX: usize = 100;

/// Whether the text is a valid name for a key.
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_MAX && name.chars().all(is_printable)
}

/// Who is no person: those are the actors of what happens by itself.
const NO_PERSONS: [&str; 10] =
    ["user", "agent", "system", "meta", "rule", "person", "command line", "dmrelay", "bot", "the bot"];

/// Whether a person can be called that, who is not to be taken for the agent or for dmrelay.
pub fn is_name_of_person(name: &str) -> bool {
    let word = name.trim().to_lowercase();
    // Activities name keys, and subjects of tokens without a name, by these words.
    let is_of_credential = ["key", "jwt", "bootstrap"]
        .iter()
        .any(|kind| word.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')));
    is_name(name) && !is_of_credential && !NO_PERSONS.contains(&word.as_str())
}

/// What the token of a session begins with.
const SESSION_PREFIX: &str = "dms_";

/// A new key of 256 random bits, and its hash; only the hash is stored.
pub fn generate() -> (String, [u8; 32]) {
    random("dmr_")
}

/// The same, of the token of a session.
pub fn generate_session() -> (String, [u8; 32]) {
    random(SESSION_PREFIX)
}

/// Whether the text is the token of a session, by its form.
pub fn is_session(token: &str) -> bool {
    token.starts_with(SESSION_PREFIX)
}

fn random(prefix: &str) -> (String, [u8; 32]) {
    let secret: [u8; 32] = rand::random();
    let key = format!("{prefix}{}", hex::encode(secret));
    let hash = signature::sha256(key.as_bytes());
    (key, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_looks_like() {
        for name in ["frontend", "Büro 3", "経理"] {
            assert!(is_name(name), "{name:?}");
        }
        assert!(is_name_of_person("Ada") && !is_name_of_person(" System ") && !is_name_of_person(""));
        for name in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}b", "\u{feff}a"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
