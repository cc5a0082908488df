//! The body of one webhook: one object with several entries of several items each (Meta, "Webhooks": up to
//! 1,000 updates in one POST).

use super::item::{self, Container};
use super::{EventKey, Kind};
use crate::clock::Millis;
use serde::Deserialize;
use serde_json::value::RawValue;

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

#[derive(Deserialize)]
struct Body<'a> {
    object: Option<String>,
    #[serde(borrow, default)]
    entry: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messaging: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    standby: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    changes: Vec<&'a RawValue>,
    #[serde(borrow)]
    field: Option<&'a RawValue>,
}

/// Parses a webhook's body. Never fails: an unreadable body becomes one event of [`Kind::Unknown`] that keeps
/// the bytes. `now` replaces a missing timestamp.
pub fn parse(body: &[u8], now: Millis) -> Envelope {
    let bodies = match serde_json::from_slice::<Body>(body) {
        Ok(body) => vec![body],
        // Meta's documentation wraps its samples in an array.
        Err(_) => match serde_json::from_slice::<Vec<Body>>(body) {
            Ok(bodies) => bodies,
            Err(_) => return Envelope { events: vec![unknown("", body, now)] },
        },
    };
    let mut events = Vec::new();
    for body in bodies {
        let ours = body.object.as_deref() == Some("instagram");
        for entry in body.entry {
            let before = events.len();
            read_entry(entry, now, &mut events);
            if !ours {
                // Page events of the same app: stored under their name only, never treated as Instagram's.
                for event in &mut events[before..] {
                    event.kind = Kind::Ignored;
                }
            }
        }
    }
    Envelope { events }
}

fn read_entry(raw: &RawValue, now: Millis, events: &mut Vec<Event>) {
    let Ok(entry) = serde_json::from_str::<Entry>(raw.get()) else {
        events.push(unknown(&account_of(raw), raw.get().as_bytes(), now));
        return;
    };
    let account = entry.id.map(item::flexible_text).unwrap_or_default();
    let time = entry.time.and_then(item::flexible_millis).unwrap_or(now);
    let before = events.len();
    for (container, items) in [
        (Container::Messaging, &entry.messaging),
        (Container::Standby, &entry.standby),
        (Container::Change, &entry.changes),
    ] {
        events.extend(items.iter().map(|item| event(&account, container, item, time)));
    }
    if entry.field.is_some() {
        events.push(event(&account, Container::Change, raw, time));
    }
    if events.len() == before {
        events.push(unknown(&account, raw.get().as_bytes(), time));
    }
}

/// The account of an entry that is malformed elsewhere.
fn account_of(raw: &RawValue) -> String {
    serde_json::from_str::<serde_json::Value>(raw.get())
        .ok()
        .and_then(|value| value.get("id").map(item::text_of))
        .unwrap_or_default()
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
