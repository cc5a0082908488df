//! Reads JSON from outside leniently: webhooks, and what Graph and Retell answer.
//!
//! Text that was cut in the middle of an emoji ends with half of a UTF-16 pair (`"… \ud83d"`), which RFC 8259 §8.2 calls
//! unpredictable and which is no text in Rust. Such halves, and bytes that are no UTF-8, become U+FFFD; U+0000, which
//! PostgreSQL cannot store, is dropped.

use crate::text::clean;
use serde_json::Value;
use std::borrow::Cow;

/// The JSON value in these bytes; `None` if there is none.
pub fn read(bytes: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_json::from_str(&repair(text)?).ok()?,
    };
    if text.contains("\\u0000") {
        drop_nul(&mut value);
    }
    Some(value)
}

/// A text in which every half of a UTF-16 pair is replaced by U+FFFD; `None` if there is none.
pub fn repair(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let (mut rest, mut changed) = (text, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        repaired.push_str(before);
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                repaired.push_str("\\ufffd");
                (changed, rest) = (true, &escape[6..]);
                continue;
            }
            Some(_) => 6,
            // An escaped backslash must not be taken for the begin of the next escape.
            None => escape.chars().take(2).map(char::len_utf8).sum(),
        };
        repaired.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    repaired.push_str(rest);
    changed.then_some(repaired)
}

/// The UTF-16 unit of an escape `\uXXXX` that a text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

fn drop_nul(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(cleaned) = clean(text) {
                *text = cleaned;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nul),
        Value::Object(fields) => fields.values_mut().for_each(drop_nul),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn half_an_emoji_becomes_the_replacement_character() {
        for (raw, text) in [
            (r#""hi \ud83d""#, "hi \u{fffd}"),
            (r#""\ude00 hi""#, "\u{fffd} hi"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\uD83Dx\u0041""#, "\u{fffd}xA"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""a\u0000b \ud83d""#, "ab \u{fffd}"),
        ] {
            assert_eq!(read(raw.as_bytes()), Some(json!(text)), "{raw}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_spoil_only_themselves() {
        assert_eq!(read(b"{\"a\":\"x\xff\",\"b\":1}"), Some(json!({"a": "x\u{fffd}", "b": 1})));
        assert_eq!(read("\u{feff}[1]".as_bytes()), Some(json!([1])));
        for bytes in [b"".as_slice(), b"<html>", b"{", br#""\ud83d"#, br#""\u12"#] {
            assert_eq!(read(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn valid_json_is_read_as_it_is(text in "\\PC*") {
            let value = json!({ "text": text.replace('\0', "") });
            prop_assert_eq!(read(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn any_units_give_a_text(units in proptest::collection::vec(any::<u16>(), 0..20)) {
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let wanted = String::from_utf16_lossy(&units).replace('\0', "");
            prop_assert_eq!(read(format!("\"{escapes}\"").as_bytes()), Some(json!(wanted)));
        }
    }
}
