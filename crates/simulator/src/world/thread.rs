//! A conversation as stored by Meta.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids;

/// An account and a customer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadKey {
    pub(crate) account: String,
    pub(crate) user: String,
}

impl ThreadKey {
    pub(crate) fn new(account: &str, user: &str) -> Self {
        Self { account: account.to_owned(), user: user.to_owned() }
    }
}

/// A conversation.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) conversation_id: String,
    /// Oldest first, in the order they reached Meta.
    pub(crate) messages: VecDeque<Message>,
    pub(crate) updated_ms: i64,
    /// The customer's last action that opens the reply window.
    pub(crate) opened_ms: Option<i64>,
    pub(crate) person: Person,
    /// The app that has it, once that was changed by a call; empty: none.
    pub(crate) owner: Option<String>,
    /// When the first unanswered message arrived: the start of the simulator's reply latency.
    pub(crate) waiting_since: Option<std::time::Instant>,
}

impl Thread {
    pub(crate) fn new(user: &str) -> Self {
        Self {
            conversation_id: ids::conversation_id(),
            messages: VecDeque::new(),
            updated_ms: 0,
            opened_ms: None,
            person: Person::named_after(user),
            owner: None,
            waiting_since: None,
        }
    }

    pub(crate) fn message(&self, mid: &str) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.mid == mid)
    }

    pub(crate) fn message_mut(&mut self, mid: &str) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| message.mid == mid)
    }

    /// Newest first, without what was unsent (assumption: an unsent message is not listed).
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().rev().filter(|message| !message.unsent)
    }
}

/// The customer's profile, and how Meta treats messages to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Display name; may be missing.
    pub name: Option<String>,
    /// Username.
    pub username: String,
    /// URL of the picture.
    #[serde(default)]
    pub profile_pic: Option<String>,
    /// The customer cannot be reached: sends fail with 551.
    #[serde(default)]
    pub unavailable: bool,
    /// The profile may not be read: code 230.
    #[serde(default)]
    pub profile_hidden: bool,
    /// Another app owns the thread: events come as `standby`, sends fail with 10/2018300.
    #[serde(default)]
    pub standby: bool,
}

impl Person {
    fn named_after(user: &str) -> Self {
        let tail = user.get(user.len().saturating_sub(4)..).unwrap_or(user);
        Self {
            name: Some(format!("Customer {tail}")),
            username: format!("customer_{user}"),
            profile_pic: None,
            unavailable: false,
            profile_hidden: false,
            standby: false,
        }
    }
}

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The customer.
    Customer,
    /// The account, through the Graph API.
    Api,
    /// The account, by a human in the Instagram app.
    App,
}

/// A message as stored by Meta.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub mid: String,
    /// Its author.
    pub author: Author,
    /// Its time in milliseconds.
    pub created_ms: i64,
    /// Its text.
    pub text: Option<String>,
    /// Its attachments, as in webhooks.
    pub attachments: Vec<Value>,
    /// The quick replies below it, `{title, payload}`.
    pub quick_replies: Vec<Value>,
    /// The message it replies to.
    pub reply_to: Option<String>,
    /// The story it mentions or replies to, as returned by `GET /{mid}?fields=story`.
    pub story: Option<Value>,
    /// Reactions by who reacted.
    pub reactions: BTreeMap<String, String>,
    /// A type the API does not expose.
    pub unsupported: bool,
    /// Unsent.
    pub unsent: bool,
}

impl Message {
    /// A text that Meta knows already, under this id.
    pub fn known(mid: &str, author: Author, created_ms: i64, text: Option<String>) -> Self {
        Self { mid: mid.to_owned(), text, ..Self::new(author, created_ms) }
    }

    pub(crate) fn new(author: Author, created_ms: i64) -> Self {
        Self {
            mid: ids::message_id(),
            author,
            created_ms,
            text: None,
            attachments: Vec::new(),
            quick_replies: Vec::new(),
            reply_to: None,
            story: None,
            reactions: BTreeMap::new(),
            unsupported: false,
            unsent: false,
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.author != Author::Customer
    }
}
