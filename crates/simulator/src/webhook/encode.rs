//! The bytes of a webhook: JSON with escaped unicode and escaped slashes, and the signatures over exactly these bytes.
//!
//! Source: Messenger Platform, "Webhooks": the signature is made over "an escaped unicode version of the payload, with
//! lower case hex digits"; real bodies also carry `\/` (restfb #1246).

use std::io::{self, Write};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use sha2::Sha256;

use super::sha1;
use super::update::{Place, Update};

/// JSON as Meta writes it.
pub(crate) fn escaped(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(256);
    // Writing to a Vec cannot fail, and every type given here serializes.
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, Escaping));
    debug_assert!(written.is_ok(), "a webhook value must serialize");
    String::from_utf8(bytes).unwrap_or_default()
}

struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let plain = |byte: u8| byte.is_ascii() && byte != b'/';
        let mut rest = fragment;
        while let Some(at) = rest.bytes().position(|byte| !plain(byte)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = after.chars();
            match chars.next() {
                Some('/') => writer.write_all(b"\\/")?,
                Some(other) => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
                None => {}
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// One POST's body: neighbouring updates of one account and kind share an entry.
pub(crate) fn body(updates: &[Update]) -> Bytes {
    let mut entries: Vec<String> = Vec::new();
    let mut rest = updates;
    while let Some((first, others)) = rest.split_first() {
        let shares =
            |other: &&Update| first.place.shares_entry(other.place) && other.account == first.account;
        let count = 1 + others.iter().take_while(shares).count();
        let (together, later) = rest.split_at(count);
        entries.push(entry(together));
        rest = later;
    }
    Bytes::from(format!("{{\"object\":\"instagram\",\"entry\":[{}]}}", entries.join(",")))
}

/// `time` comes before `id` in what Meta sends (chatwoot #11983); it is in seconds for `changes`, else in milliseconds.
fn entry(updates: &[Update]) -> String {
    let Some(first) = updates.first() else { return "{}".to_owned() };
    let id = escaped(&first.account);
    let field = escaped(&first.field);
    let payloads = updates.iter().map(|update| update.payload.as_str()).collect::<Vec<_>>().join(",");
    let (ms, seconds) = (first.entry_time_ms, first.entry_time_ms.div_euclid(1000));
    match first.place {
        Place::Messaging => format!("{{\"time\":{ms},\"id\":{id},\"messaging\":[{payloads}]}}"),
        Place::Standby => format!("{{\"time\":{ms},\"id\":{id},\"standby\":[{payloads}]}}"),
        Place::Change => {
            format!(
                "{{\"id\":{id},\"time\":{seconds},\"changes\":[{{\"field\":{field},\"value\":{payloads}}}]}}"
            )
        }
        Place::Flat => format!("{{\"id\":{id},\"time\":{seconds},\"field\":{field},\"value\":{payloads}}}"),
    }
}

/// `X-Hub-Signature-256`.
pub(crate) fn signature_256(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hmac_256(secret, body))
}

/// `appsecret_proof` of an access token.
pub(crate) fn proof(secret: &str, token: &str) -> String {
    hmac_256(secret, token.as_bytes())
}

fn hmac_256(secret: &str, message: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(message);
    hex::encode(mac.finalize().into_bytes())
}

/// `X-Hub-Signature`.
pub(crate) fn signature_1(secret: &str, body: &[u8]) -> String {
    format!("sha1={}", hex::encode(sha1::hmac(secret.as_bytes(), body)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::webhook::update::Item;

    const RAW: &str = r#"{"object":"instagram","entry":[{"time":1772998024000,"id":"17841400000000000","messaging":[{"sender":{"id":"200000000000001"},"recipient":{"id":"17841400000000000"},"timestamp":1772998023000,"message":{"mid":"m1","text":"\u00e4\u00f6\u00e5 \ud83d\udc4b https:\/\/example.com\/a"}}]}]}"#;

    #[test]
    fn a_text_message_has_the_bytes_and_signatures_of_the_known_vector() {
        let item = Item::new("200000000000001", "17841400000000000", 1_772_998_023_000)
            .with("message", json!({"mid": "m1", "text": "äöå 👋 https://example.com/a"}));
        let update = Update {
            entry_time_ms: 1_772_998_024_000,
            ..Update::item("17841400000000000", Some("200000000000001"), "messages", &item)
        };
        let body = body(&[update]);
        assert_eq!(body, RAW.as_bytes());
        assert_eq!(
            signature_256("test_app_secret", &body),
            "sha256=0f351350ad90faa7f1097a0df6c21ca11343625ae9263401ad6deffe263b4d8e"
        );
        assert_eq!(signature_1("test_app_secret", &body), "sha1=cdaa6069111dd49209d1c258a9322e9786979d0f");
    }

    #[test]
    fn updates_of_one_account_share_an_entry_and_changes_stand_alone() {
        let item = |account: &str| {
            Update::item(
                account,
                Some("1"),
                "messages",
                &Item::new("1", account, 5).with("read", json!({"mid": "m"})),
            )
        };
        let change = Update::change("17", "comments", &json!({"id": "c"}), false);
        let body = body(&[item("17"), item("17"), change.clone(), change, item("18")]);
        let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let entries = parsed["entry"].as_array().cloned().unwrap_or_default();
        assert_eq!(entries.len(), 4);
        assert_eq!(entries[0]["messaging"].as_array().map(Vec::len), Some(2));
        assert_eq!(entries[1]["changes"][0]["field"], "comments");
        assert_eq!(entries[3]["id"], "18");
    }

    #[test]
    fn control_characters_and_quotes_stay_valid_json() {
        let text = "a\"b\\c\n\u{1}/é\u{10ffff}";
        let parsed: String = serde_json::from_str(&escaped(&text)).unwrap_or_default();
        assert_eq!(parsed, text);
    }
}
