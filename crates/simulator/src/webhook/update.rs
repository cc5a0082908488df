//! One update, already in Meta's format.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::encode::escaped;

/// The position of an update within its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `messaging[]`.
    Messaging,
    /// `standby[]`: another app owns the thread.
    Standby,
    /// `changes[] {field, value}`.
    Change,
    /// `field` and `value` on the entry itself.
    Flat,
}

impl Place {
    pub(crate) fn shares_entry(self, other: Self) -> bool {
        self == other && matches!(self, Self::Messaging | Self::Standby)
    }
}

/// One update of one account.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) account: String,
    pub(crate) user: Option<String>,
    pub(crate) mid: Option<String>,
    /// The webhook field an account must have subscribed to.
    pub(crate) field: String,
    pub(crate) place: Place,
    pub(crate) entry_time_ms: i64,
    /// The item or the value, escaped.
    pub(crate) payload: String,
}

impl Update {
    /// A direct message event.
    pub(crate) fn item(account: &str, user: Option<&str>, field: &str, item: &impl Serialize) -> Self {
        Self {
            account: account.to_owned(),
            user: user.map(str::to_owned),
            mid: None,
            field: field.to_owned(),
            place: Place::Messaging,
            entry_time_ms: 0,
            payload: escaped(item),
        }
    }

    /// A comment, a mention, or any other `field` and `value`.
    pub(crate) fn change(account: &str, field: &str, value: &Value, flat: bool) -> Self {
        let place = if flat { Place::Flat } else { Place::Change };
        Self { place, ..Self::item(account, None, field, value) }
    }
}

/// An item of `messaging[]`, with its keys in the order Meta writes them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    sender: Party,
    recipient: Party,
    timestamp: i64,
    #[serde(flatten)]
    what: BTreeMap<&'static str, Value>,
}

#[derive(Clone, Debug, Serialize)]
struct Party {
    id: String,
}

impl Item {
    pub(crate) fn new(sender: &str, recipient: &str, timestamp: i64) -> Self {
        Self {
            sender: Party { id: sender.to_owned() },
            recipient: Party { id: recipient.to_owned() },
            timestamp,
            what: BTreeMap::new(),
        }
    }

    pub(crate) fn with(mut self, key: &'static str, value: Value) -> Self {
        self.what.insert(key, value);
        self
    }
}
