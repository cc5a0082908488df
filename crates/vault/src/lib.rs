//! Encryption of secrets at rest: XChaCha20-Poly1305, with several keys of which the first one encrypts.
//!
//! An encrypted value is `version ‖ length of the key id ‖ key id ‖ nonce (24 bytes) ‖ ciphertext`. Its
//! location (table, column, row) is authenticated data, so that a value moved to another row cannot be
//! decrypted there.
//!
//! A key's id is the name it has in `ENCRYPTION_KEYS` and a fingerprint of its bytes, `k1.3fa9c2d1`, so that another key
//! of the same name is another key everywhere: in stored values, in counts, and in what processes say they have.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use dmrelay_domain::current::Current;
use dmrelay_domain::secret::Secret;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const KEY_NAME_BYTES_MAX: usize = 32;

/// Bytes of a fingerprint. It tells keys apart and reveals nothing of a random key.
const FINGERPRINT_BYTES: usize = 4;

/// The keys of the process. Clones share them: when they are replaced, they are for all.
#[derive(Clone)]
pub struct Vault {
    keys: Current<Vec<(String, XChaCha20Poly1305)>>,
}

/// The location of an encrypted value. Every such column must be listed in `dmrelay_store::SEALED`, or its
/// values would be lost when a key is removed that seems to be unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The row.
    pub row: Uuid,
}

impl Place {
    fn associated_data(&self) -> Vec<u8> {
        format!("{}.{}:{}", self.table, self.column, self.row).into_bytes()
    }
}

/// Invalid keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There are none.
    #[error("ENCRYPTION_KEYS holds no key; make one with: echo \"k1:$(head -c 32 /dev/urandom | base64)\"")]
    None,
    /// A key is not `id:base64`.
    #[error("ENCRYPTION_KEYS: key {0} is not of the form id:base64")]
    Form(usize),
    /// An id is empty, too long or not a word.
    #[error("ENCRYPTION_KEYS: the id of key {0} must be 1 to 32 letters, digits, '-' or '_'")]
    Id(usize),
    /// The bytes are not base64.
    #[error("ENCRYPTION_KEYS: key {0:?} is not base64")]
    Base64(String),
    /// The key is not 32 bytes.
    #[error("ENCRYPTION_KEYS: key {0:?} has {1} bytes, not 32")]
    Length(String, usize),
    /// Every byte is the same: nobody made it at random.
    #[error("ENCRYPTION_KEYS: key {0:?} is not random; make one with: head -c 32 /dev/urandom | base64")]
    Weak(String),
    /// Two keys have the same id.
    #[error("ENCRYPTION_KEYS: the id {0:?} is used twice")]
    Twice(String),
}

/// A value that cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not an encrypted value.
    #[error("not an encrypted value")]
    Malformed,
    /// Encrypted with a key the process does not have.
    #[error("{}", Vault::unknown(.0, .1.as_deref()))]
    UnknownKey(String, Option<String>),
    /// Modified, or belongs elsewhere.
    #[error("cannot be decrypted: modified, or encrypted for another location")]
    Refused,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.key_ids()).finish()
    }
}

impl Vault {
    /// Parses `id:base64,id:base64,…`; the first key encrypts, all of them decrypt.
    ///
    /// # Errors
    /// [`InvalidKeys`], which never shows a key.
    pub fn parse(keys: &Secret<String>) -> Result<Self, InvalidKeys> {
        let mut ring: Vec<(String, XChaCha20Poly1305)> = Vec::new();
        for (number, part) in
            keys.expose().split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate()
        {
            let (id, key) = part.split_once(':').ok_or(InvalidKeys::Form(number + 1))?;
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if id.is_empty() || id.len() > KEY_NAME_BYTES_MAX || !id.chars().all(word) {
                return Err(InvalidKeys::Id(number + 1));
            }
            if ring.iter().any(|(other, _)| name_of(other) == id) {
                return Err(InvalidKeys::Twice(id.to_owned()));
            }
            let bytes = STANDARD.decode(key).map_err(|_| InvalidKeys::Base64(id.to_owned()))?;
            let length = bytes.len();
            let key: [u8; 32] = bytes.try_into().map_err(|_| InvalidKeys::Length(id.to_owned(), length))?;
            if key.iter().all(|byte| *byte == key[0]) {
                return Err(InvalidKeys::Weak(id.to_owned()));
            }
            ring.push((format!("{id}.{}", fingerprint(&key)), XChaCha20Poly1305::new(&Key::from(key))));
        }
        if ring.is_empty() { Err(InvalidKeys::None) } else { Ok(Self { keys: Current::new(ring) }) }
    }

    /// A new key in the format of `ENCRYPTION_KEYS`.
    pub fn generate(id: &str) -> String {
        let key: [u8; 32] = rand::random();
        format!("{id}:{}", STANDARD.encode(key))
    }

    /// Encrypts a value for its location, with the first key.
    pub fn seal(&self, place: Place, plain: &[u8]) -> Vec<u8> {
        // Invariant: `parse` never creates a vault without keys.
        let keys = self.keys.get();
        let Some((id, cipher)) = keys.first() else { return Vec::new() };
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: &place.associated_data() };
        // Encryption fails only for texts of 256 GiB and more.
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        let id_len = u8::try_from(id.len()).unwrap_or(0);
        [&[VERSION, id_len], id.as_bytes(), &nonce, &sealed].concat()
    }

    /// Decrypts a value at its location.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let (id, rest) = key_id(sealed)?;
        let keys = self.keys.get();
        let (_, cipher) = keys
            .iter()
            .find(|(key, _)| key == id)
            .ok_or_else(|| SealError::UnknownKey(id.to_owned(), self.of_the_same_name(id)))?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
        let payload = Payload { msg: text, aad: &place.associated_data() };
        cipher.decrypt(&XNonce::from(*nonce), payload).map(Secret::new).map_err(|_| SealError::Refused)
    }

    /// Decrypts a text value.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open_text(&self, place: Place, sealed: &[u8]) -> Result<Secret<String>, SealError> {
        let plain = self.open(place, sealed)?;
        String::from_utf8(plain.expose().clone()).map(Secret::new).map_err(|_| SealError::Malformed)
    }

    /// The key here that has the name of this key, but is a different one.
    fn of_the_same_name(&self, id: &str) -> Option<String> {
        self.key_ids().into_iter().find(|known| known != id && name_of(known) == name_of(id))
    }

    fn unknown(id: &str, same_name: Option<&str>) -> String {
        match same_name {
            Some(ours) => format!(
                "encrypted with the key {id}, but the key called {} in ENCRYPTION_KEYS is a different one ({ours})",
                name_of(id)
            ),
            None => format!("encrypted with the key {id}, which ENCRYPTION_KEYS does not contain"),
        }
    }

    /// What is wrong with values of this key: for people.
    pub fn about_missing(&self, id: &str) -> String {
        Self::unknown(id, self.of_the_same_name(id).as_deref())
    }

    /// The key ids; the first one encrypts.
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.get().iter().map(|(id, _)| id.clone()).collect()
    }

    /// The id of the key that encrypts.
    pub fn current_key(&self) -> String {
        self.keys.get().first().map(|(id, _)| id.clone()).unwrap_or_default()
    }

    /// From now on the keys are those of `new`, here and in all clones.
    pub fn replace(&self, new: &Self) {
        self.keys.set(new.keys.get().to_vec());
    }

    /// The ids of keys that encrypt these values but are missing here.
    pub fn missing<'a>(&self, sealed: impl Iterator<Item = &'a [u8]>) -> BTreeSet<String> {
        let keys = self.keys.get();
        sealed
            .filter_map(|value| key_id(value).ok())
            .filter(|(id, _)| keys.iter().all(|(key, _)| key != id))
            .map(|(id, _)| id.to_owned())
            .collect()
    }
}

/// Whether a value is encrypted with the key of this id.
pub fn is_sealed_with(sealed: &[u8], id: &str) -> bool {
    key_id(sealed).is_ok_and(|(known, _)| known == id)
}

/// The name in a key's id.
fn name_of(id: &str) -> &str {
    id.rsplit_once('.').map_or(id, |(name, _)| name)
}

fn fingerprint(key: &[u8; 32]) -> String {
    let hash = Sha256::new().chain_update(b"dmrelay encryption key: ").chain_update(key).finalize();
    let first = hash.iter().take(FINGERPRINT_BYTES).fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    format!("{first:08x}")
}

fn key_id(sealed: &[u8]) -> Result<(&str, &[u8]), SealError> {
    let [VERSION, len, rest @ ..] = sealed else { return Err(SealError::Malformed) };
    let (id, rest) = rest.split_at_checked(usize::from(*len)).ok_or(SealError::Malformed)?;
    Ok((std::str::from_utf8(id).map_err(|_| SealError::Malformed)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(row: Uuid) -> Place {
        Place { table: "instagram_connections", column: "access_token", row }
    }

    fn vault(keys: &[&str]) -> Vault {
        Vault::parse(&Secret::new(keys.join(","))).unwrap()
    }

    #[test]
    fn a_rotated_vault_decrypts_values_of_the_old_key() {
        let (old, new) = (Vault::generate("old"), Vault::generate("new"));
        let row = Uuid::nil();
        let sealed = vault(&[&old]).seal(place(row), b"token");
        assert_eq!(vault(&[&new, &old]).open(place(row), &sealed).unwrap().expose(), b"token");
        let id = vault(&[&old]).current_key();
        assert_eq!(vault(&[&new]).open(place(row), &sealed), Err(SealError::UnknownKey(id.clone(), None)));
        assert_eq!(vault(&[&new]).missing([&sealed[..]].into_iter()), BTreeSet::from([id]));
    }

    #[test]
    fn another_key_of_the_same_name_is_another_key() {
        let (ours, theirs) = (vault(&[&Vault::generate("k1")]), vault(&[&Vault::generate("k1")]));
        let sealed = theirs.seal(place(Uuid::nil()), b"token");
        let (id, same) = (theirs.current_key(), ours.current_key());
        assert!(id.starts_with("k1.") && id.len() == 11 && id != same, "{id} {same}");
        assert_eq!(ours.missing([&sealed[..]].into_iter()), BTreeSet::from([id.clone()]));
        let told = ours.open(place(Uuid::nil()), &sealed).unwrap_err().to_string();
        assert!(told.contains(&id) && told.contains(&same) && told.contains("is a different one"), "{told}");
        assert_eq!(ours.about_missing(&id), told);
    }

    #[test]
    fn replaced_keys_are_replaced_in_all_clones() {
        let (old, new) = (Vault::generate("k1"), Vault::generate("k2"));
        let here = vault(&[&old]);
        let there = here.clone();
        let sealed = there.seal(place(Uuid::nil()), b"token");
        here.replace(&vault(&[&new, &old]));
        assert!(there.current_key().starts_with("k2."));
        assert_eq!(there.open(place(Uuid::nil()), &sealed).unwrap().expose(), b"token");
    }

    /// Stored values name it: it must not change.
    #[test]
    fn a_fingerprint_stays_the_same() {
        assert_eq!(fingerprint(&[7; 32]), "a20554cd");
    }

    #[test]
    fn a_value_decrypts_only_at_its_location() {
        let vault = vault(&[&Vault::generate("k1")]);
        let sealed = vault.seal(place(Uuid::nil()), b"token");
        assert_eq!(vault.open(place(Uuid::max()), &sealed), Err(SealError::Refused));
        let column = Place { column: "app_secret", ..place(Uuid::nil()) };
        assert_eq!(vault.open(column, &sealed), Err(SealError::Refused));
    }

    #[test]
    fn malformed_keys_are_named_and_not_shown() {
        let key = Vault::generate("k");
        for (keys, says) in [
            (String::new(), "holds no key"),
            ("secretsecret".to_owned(), "key 1 is not of the form"),
            ("a b:c2VjcmV0".to_owned(), "the id of key 1"),
            ("k1:sec!ret".to_owned(), "\"k1\" is not base64"),
            ("k1:c2VjcmV0".to_owned(), "\"k1\" has 6 bytes, not 32"),
            (format!("{key},{key}"), "\"k\" is used twice"),
        ] {
            let err = Vault::parse(&Secret::new(keys)).unwrap_err().to_string();
            assert!(err.contains(says), "{err}");
            assert!(!err.contains("c2VjcmV0") && !err.contains("secretsecret"), "{err}");
        }
    }

    proptest! {
        #[test]
        fn encrypted_values_decrypt_and_modified_ones_do_not(plain in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let vault = vault(&[&Vault::generate("k1")]);
            let row = Uuid::now_v7();
            let mut sealed = vault.seal(place(row), &plain);
            let opened = vault.open(place(row), &sealed).unwrap();
            prop_assert_eq!(opened.expose(), &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(vault.open(place(row), &sealed).is_err());
        }

        #[test]
        fn any_bytes_are_rejected_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(vault(&[&Vault::generate("k1")]).open(place(Uuid::nil()), &bytes).is_err());
        }
    }
}
