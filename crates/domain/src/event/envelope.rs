//! The body of one webhook: one object with several entries of several items each (Meta, "Webhooks": up to
//! 1,000 updates in one POST).

use super::item::{self, Container};
use super::{EventKey, Kind};
use crate::clock::Millis;
use crate::json;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One event of a webhook, ready for the inbox.
#[derive(Debug, Clone)]
pub struct Event {
    /// The deduplication key.
    pub key: EventKey,
    /// The Instagram account it was sent for: `entry.id`. Empty if missing.
    pub account: String,
    /// The Instagram user concerned; empty if none.
    pub thread: String,
    /// The kind of event.
    pub kind: Kind,
    /// Its position in the entry; needed to parse [`Event::raw`] again.
    pub container: Container,
    /// Meta's timestamp.
    pub at: Millis,
    /// The item's JSON as received.
    pub raw: Vec<u8>,
}

/// The content of a webhook's body.
#[derive(Debug, Clone, Default)]
pub struct Envelope {
    /// Its events, in order of arrival.
    pub events: Vec<Event>,
}

/// The fields of an object, each as it was written: whatever one of them is, the others can be read.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Parses a webhook's body. Never fails: an unreadable body becomes one event of [`Kind::Unknown`] that keeps
/// the bytes. `now` replaces a missing timestamp.
pub fn parse(body: &[u8], now: Millis) -> Envelope {
    let text = String::from_utf8_lossy(body);
    // A half of an emoji in the name of a field is the only one that hides other fields.
    let events = read_bodies(&text, now).ok().or_else(|| read_bodies(&json::repair(&text)?, now).ok());
    Envelope { events: events.unwrap_or_else(|| vec![unknown("", body, now)]) }
}

fn read_bodies(text: &str, now: Millis) -> Result<Vec<Event>, serde_json::Error> {
    let whole = serde_json::from_str::<&RawValue>(text)?;
    let mut events = Vec::new();
    // Meta's documentation wraps its samples in an array.
    for body in list(whole) {
        let before = events.len();
        let Some(fields) = fields(body)? else {
            events.push(unknown("", body.get().as_bytes(), now));
            continue;
        };
        for entry in fields.get("entry").copied().map(list).unwrap_or_default() {
            read_entry(entry, now, &mut events)?;
        }
        if events.len() == before {
            events.push(unknown("", body.get().as_bytes(), now));
        }
        let object = fields.get("object").copied().map(item::flexible_text).unwrap_or_default();
        if !object.is_empty() && object != "instagram" {
            // Page events of the same app: stored under their name only, never treated as Instagram's.
            for event in &mut events[before..] {
                event.kind = Kind::Ignored;
            }
        }
    }
    Ok(events)
}

/// None for what is no object.
///
/// # Errors
/// The name of a field is no text.
fn fields(raw: &RawValue) -> Result<Option<Fields<'_>>, serde_json::Error> {
    if raw.get().starts_with('{') { serde_json::from_str(raw.get()).map(Some) } else { Ok(None) }
}

/// The items of a list; a value that is no list is its only item, and `null` is none.
fn list(raw: &RawValue) -> Vec<&RawValue> {
    match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(items) => items,
        Err(_) if raw.get() == "null" => Vec::new(),
        Err(_) => vec![raw],
    }
}

fn read_entry(raw: &RawValue, now: Millis, events: &mut Vec<Event>) -> Result<(), serde_json::Error> {
    let Some(fields) = fields(raw)? else {
        events.push(unknown("", raw.get().as_bytes(), now));
        return Ok(());
    };
    let field = |name: &str| fields.get(name).copied();
    let account = field("id").map(item::flexible_text).unwrap_or_default();
    let time = field("time").and_then(item::flexible_millis).unwrap_or(now);
    let before = events.len();
    for (container, name) in
        [(Container::Messaging, "messaging"), (Container::Standby, "standby"), (Container::Change, "changes")]
    {
        let items = field(name).map(list).unwrap_or_default();
        events.extend(items.into_iter().map(|item| event(&account, container, item, time)));
    }
    if field("field").is_some() {
        events.push(event(&account, Container::Change, raw, time));
    }
    if events.len() == before {
        events.push(unknown(&account, raw.get().as_bytes(), time));
    }
    Ok(())
}

fn event(account: &str, container: Container, raw: &RawValue, time: Millis) -> Event {
    let bytes = raw.get().as_bytes();
    let Some(item) = item::read(container, account, bytes) else {
        return unknown(account, bytes, time);
    };
    Event {
        key: item.key(account, container),
        account: account.to_owned(),
        thread: item.thread.clone(),
        kind: item.kind(container),
        container,
        at: item.at.unwrap_or(time),
        raw: bytes.to_vec(),
    }
}

/// An event that no webhook brought, in the form of an item of `messaging[]`. Its key is that of the webhook, if one comes late.
/// `None` if it is none that is understood.
pub fn read_back(account: &str, container: Container, item: &Value) -> Option<Event> {
    let raw = item.to_string().into_bytes();
    let item = item::read(container, account, &raw)?;
    Some(Event {
        key: item.key(account, container),
        account: account.to_owned(),
        thread: item.thread.clone(),
        kind: item.kind(container),
        container,
        at: item.at?,
        raw,
    })
}

fn unknown(account: &str, bytes: &[u8], at: Millis) -> Event {
    Event {
        key: EventKey::of_bytes(account, bytes),
        account: account.to_owned(),
        thread: String::new(),
        kind: Kind::Unknown,
        container: Container::Messaging,
        at,
        raw: bytes.to_vec(),
    }
}
