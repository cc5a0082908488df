//! Ids as types, so that a chat's id cannot be passed where a message's is expected.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use uuid::{Builder, Uuid};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new UUIDv7: later ids sort later.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        #[cfg(feature = "sea-orm")]
        crate::column::uuid_column!($name);
    };
}

uuid_id!(
    /// An Instagram account connected to an agent.
    ConnectionId
);
uuid_id!(
    /// A conversation of one Instagram user with one connection.
    ChatId
);
uuid_id!(
    /// A message, received or sent. Meta's id of it is its [`Mid`].
    MessageId
);
uuid_id!(
    /// What a customer sent besides text, as far as it is kept.
    MediaId
);
uuid_id!(
    /// A saved message.
    TemplateId
);
uuid_id!(
    /// Our row of a comment, or a mention.
    CommentId
);
uuid_id!(
    /// A message for many customers.
    BroadcastId
);
uuid_id!(
    /// One question to the agent and its answer.
    TurnId
);
uuid_id!(
    /// A row of the inbox.
    EventId
);

uuid_id!(
    /// A dead letter.
    DeadLetterId
);
uuid_id!(
    /// An entry of the activity log.
    ActivityId
);
uuid_id!(
    /// An API key of a subaccount: its id, which is no secret.
    ApiKeyId
);
uuid_id!(
    /// A short-lived token for one person: its id, which is no secret.
    SessionId
);
uuid_id!(
    /// A request to erase an account or a subaccount.
    ErasureId
);
uuid_id!(
    /// A note that people have written about a chat.
    NoteId
);
uuid_id!(
    /// Something that is wrong, from its beginning to its end.
    IncidentId
);
uuid_id!(
    /// Somebody who is notified of incidents.
    NotificationTargetId
);
uuid_id!(
    /// A notification to one target.
    NotificationId
);
uuid_id!(
    /// A worker process, identified from start to end.
    WorkerId
);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr, $why:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Maximum length, in bytes.
            pub const MAX: usize = $max;

            /// Validates the characters and the length.
            ///
            /// # Errors
            /// [`InvalidId`], naming the problem.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() {
                    return Err(InvalidId { what: stringify!($name), why: "must not be empty" });
                }
                if text.len() > Self::MAX {
                    return Err(InvalidId { what: stringify!($name), why: concat!("must have at most ", $max, " characters") });
                }
                // Paths of URLs and of files take them for something else.
                if matches!(text, "." | "..") {
                    return Err(InvalidId { what: stringify!($name), why: "must not be . or .." });
                }
                if !text.chars().all(allowed) {
                    return Err(InvalidId { what: stringify!($name), why: $why });
                }
                Ok(Self(text.to_owned()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn digit(c: char) -> bool {
    c.is_ascii_digit()
}

text_id!(
    /// A tenant of dmrelay, as the frontend names it.
    SubaccountId, 64, word, "must be letters, digits, _, . and - only"
);
text_id!(
    /// A chat agent, as Retell names it (`agent_…`).
    AgentId, 128, word, "must be letters, digits, _, . and - only"
);
text_id!(
    /// An Instagram professional account (`1784140…`): `entry.id` of a webhook. Digits only, so that it is
    /// safe in a path of the Graph API.
    InstagramAccountId, 32, digit, "must be digits only"
);
text_id!(
    /// An Instagram user as one account sees them (IGSID): `sender.id` of a webhook. Digits only.
    InstagramUserId, 32, digit, "must be digits only"
);
text_id!(
    /// A Facebook Page id. Digits only.
    PageId, 32, digit, "must be digits only"
);

/// Meta's message id: opaque, 160 to 190 characters of a base64-like alphabet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mid(pub String);

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An invalid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {why}")]
pub struct InvalidId {
    /// The type of id.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A new id whose time is `now`, by the database's clock: so the ids of all processes follow one clock, and
/// those of one process at the same time follow one another.
pub fn id_at<I: From<Uuid>>(now: Millis) -> I {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let [a, b, c, d] = MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // 26 bits of the count, around those that every UUIDv7 has; then 48 random ones.
    let shifted = [(a << 2 | b >> 6) & 0x0f, b << 2 | c >> 6, c & 0x3f, d];
    let mut tail = [0; 10];
    tail[..4].copy_from_slice(&shifted);
    tail[4..].copy_from_slice(&Uuid::new_v4().as_bytes()[..6]);
    Builder::from_unix_timestamp_millis(u64::try_from(now).unwrap_or(0), &tail).into_uuid().into()
}

/// The least id whose time is `at`.
pub fn first_id_at<I: From<Uuid>>(at: Millis) -> I {
    Builder::from_unix_timestamp_millis(u64::try_from(at).unwrap_or(0), &[0; 10]).into_uuid().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_ids_are_digits() {
        assert!(InstagramUserId::parse("200000000000001").is_ok());
        for bad in ["", "12/34", "1 ", "abc", "..", &"1".repeat(33)] {
            assert!(InstagramUserId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tenant_names_are_words() {
        assert!(SubaccountId::parse("acme-1.test_x").is_ok());
        assert!(AgentId::parse("agent/../x").is_err());
        assert!(SubaccountId::parse("ä").is_err());
        for dots in [".", ".."] {
            assert!(SubaccountId::parse(dots).is_err() && AgentId::parse(dots).is_err(), "{dots}");
        }
    }

    #[test]
    fn ids_of_one_time_follow_one_another() {
        let now = 1_700_000_000_000;
        let ids: Vec<ActivityId> = (0..10_000).map(|_| id_at(now)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        for id in ids {
            assert_eq!((id.0.get_version_num(), id.0.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.0.as_u128() >> 80, 1_700_000_000_000);
            assert!(id > first_id_at(now) && id < first_id_at(now + 1));
        }
    }
}
