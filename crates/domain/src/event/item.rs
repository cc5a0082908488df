//! An item of an entry: its kind follows from the JSON key that is present.

use super::content::{Comment, Content, Edit, Inbound, Mention, Postback, Reaction};
use super::parts::{attachments, is_story_mention, others, referral, reply_to};
use super::{EventKey, Kind};
use crate::clock::Millis;
use crate::ids::InstagramUserId;
use crate::json;
use crate::states::words;
use serde_json::Value;
use serde_json::value::RawValue;

words!(
    /// The container of an item within an entry.
    Container {
        /// `messaging[]`: a direct message's event, ours to answer.
        Messaging = "messaging",
        /// `standby[]`: the same, while another app owns the thread.
        Standby = "standby",
        /// No webhook brought it: read from Meta's copy of the conversation, too late to be answered. Its form is that of `messaging[]`.
        History = "history",
        /// `changes[]`, or `field` and `value` on the entry itself.
        Change = "change",
    }
);

/// A parsed item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The JSON key that was present, or a change's field: Meta's word for the kind.
    pub wire: String,
    /// The Instagram user.
    pub thread: String,
    /// Meta's timestamp, if the item has its own.
    pub at: Option<Millis>,
    /// The content.
    pub content: Content,
    mid: Option<String>,
    repeat: Vec<String>,
    json: Value,
}

impl Item {
    /// Its deduplication key.
    pub fn key(&self, account: &str, container: Container) -> EventKey {
        let mut repeat: Vec<&str> = self.repeat.iter().map(String::as_str).collect();
        if container == Container::Standby {
            repeat.push("standby");
        }
        EventKey::of(account, &self.wire, self.mid.as_deref(), &repeat, &self.json)
    }

    /// Our word for its kind.
    pub fn kind(&self, container: Container) -> Kind {
        if container == Container::Standby && self.content != Content::Ignored {
            return Kind::Standby;
        }
        match self.content {
            Content::Message(_) | Content::StoryMention { .. } => Kind::Message,
            Content::Echo(_) => Kind::Echo,
            Content::Unsend { .. } => Kind::Unsend,
            Content::Unsupported(_) => Kind::Unsupported,
            Content::Postback(_) => Kind::Postback,
            Content::Referral(_) => Kind::Referral,
            Content::Reaction(_) => Kind::Reaction,
            Content::Edit(_) => Kind::Edit,
            Content::Read { .. } => Kind::Read,
            Content::Feedback { .. } => Kind::Feedback,
            Content::PolicyEnforcement { .. } => Kind::PolicyEnforcement,
            Content::Handover => Kind::Handover,
            Content::Comment(_) => Kind::Comment,
            Content::Mention(_) => Kind::Mention,
            Content::Ignored => Kind::Ignored,
            Content::Unknown => Kind::Unknown,
        }
    }
}

/// Parses an item of `account`. `None` if it is not a JSON object of the container's form.
pub fn read(container: Container, account: &str, raw: &[u8]) -> Option<Item> {
    let json = json::read(raw)?;
    if !json.is_object() {
        return None;
    }
    match container {
        Container::Messaging | Container::Standby | Container::History => Some(message_item(account, json)),
        Container::Change => Some(change_item(account, &json)),
    }
}

fn message_item(account: &str, json: Value) -> Item {
    let sender = json["sender"]["id"].as_id();
    let recipient = json["recipient"]["id"].as_id();
    // Whoever of the two is not the account; an item may lack one of them.
    let thread = [&sender, &recipient].into_iter().find(|id| !id.is_empty() && **id != account);
    let thread = thread.cloned().unwrap_or_default();
    let mut item = Item {
        wire: String::new(),
        thread,
        at: json.get("timestamp").and_then(millis_of),
        content: Content::Unknown,
        mid: None,
        repeat: Vec::new(),
        json,
    };
    let dashboard_test = account == "0" || (sender == "12334" && recipient == "23245");
    let wire = WIRE_KINDS.iter().find(|wire| item.json.get(**wire).is_some());
    // What is not understood has a name for people, and no more.
    let body = wire.map_or(Value::Null, |wire| item.json[*wire].clone());
    item.wire = wire.map_or_else(|| unknown_name(&item.json), |wire| (*wire).to_owned());
    item.mid = body["mid"].as_text();
    item.content = item_content(&mut item, account, &body);
    // Ids decide who acts. Messages of the account are echoes; what else it does itself says nothing about the customer:
    // its own reaction opens no window, and its own reading is not theirs.
    let is_own = sender == account && !matches!(item.wire.as_str(), "message" | "message_edit");
    let speaks_for_meta =
        matches!(item.content, Content::Handover | Content::PolicyEnforcement { .. } | Content::Unknown);
    let is_own = is_own && !speaks_for_meta;
    if is_own || dashboard_test || is_true(&item.json["is_self"]) || is_true(&body["is_self"]) {
        item.content = Content::Ignored;
    }
    item
}

/// What Meta may call an item without a known key.
fn unknown_name(item: &Value) -> String {
    let mut keys = item.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let name = keys.find(|key| !matches!(*key, "sender" | "recipient" | "timestamp" | "is_self"));
    crate::text::truncate(&crate::text::clean(name.unwrap_or("unknown")), 64).to_owned()
}

/// The JSON keys that distinguish the kinds of items.
const WIRE_KINDS: &[&str] = &[
    "message",
    "message_edit",
    "reaction",
    "postback",
    "read",
    "referral",
    "pass_thread_control",
    "take_thread_control",
    "request_thread_control",
    "app_roles",
    "optin",
    "response_feedback",
    "policy_enforcement",
    "delivery",
];

fn item_content(item: &mut Item, account: &str, body: &Value) -> Content {
    let mid = item.mid.clone();
    match (item.wire.as_str(), mid) {
        ("message", Some(mid)) => message(item, account, body, mid),
        ("message_edit", Some(mid)) => {
            let edits = number(&body["num_edit"]).unwrap_or(0);
            item.repeat.push(edits.to_string());
            Content::Edit(Edit { mid, text: body["text"].as_text(), edits })
        }
        ("reaction", Some(mid)) => {
            let action = body["action"].as_text().unwrap_or_default();
            let emoji = body["emoji"].as_text().or_else(|| body["reaction"].as_text());
            let at = item.at.unwrap_or_default().to_string();
            item.repeat.extend([action.clone(), emoji.clone().unwrap_or_default(), at]);
            let emoji = if action == "unreact" { None } else { emoji };
            Content::Reaction(Reaction { mid, emoji })
        }
        ("postback", mid) => Content::Postback(Postback {
            mid,
            title: body["title"].as_text(),
            payload: body["payload"].as_text(),
            referral: referral(&body["referral"]),
        }),
        ("read", mid) => {
            item.repeat.push(item.at.unwrap_or_default().to_string());
            Content::Read { mid }
        }
        ("referral", mid) => match referral(body).unwrap_or_default() {
            referral if is_story_mention(&referral) => Content::StoryMention { mid, referral },
            referral => Content::Referral(referral),
        },
        ("response_feedback", Some(mid)) => {
            let feedback = body["feedback"].as_text().unwrap_or_default();
            item.repeat.push(feedback.clone());
            Content::Feedback { mid, feedback }
        }
        ("policy_enforcement", _) => {
            Content::PolicyEnforcement { action: body["action"].as_text(), reason: body["reason"].as_text() }
        }
        // That Meta has delivered a message says less than its echo.
        ("delivery", _) => Content::Ignored,
        ("pass_thread_control" | "take_thread_control" | "request_thread_control" | "app_roles", _) => {
            Content::Handover
        }
        _ => Content::Unknown,
    }
}

fn message(item: &mut Item, account: &str, body: &Value, mid: String) -> Content {
    if is_true(&body["is_deleted"]) {
        // Same wire kind and mid as the message itself: it must not be mistaken for a redelivery.
        item.repeat.push("deleted".to_owned());
        return Content::Unsend { mid };
    }
    let mut message = Inbound {
        mid,
        text: body["text"].as_text(),
        attachments: attachments(&body["attachments"]),
        quick_reply: body["quick_reply"]["payload"].as_text(),
        reply_to: reply_to(&body["reply_to"]),
        referral: referral(&body["referral"]),
        more: others(body, UNDERSTOOD),
    };
    if is_true(&body["reply_to"]["is_self_reply"]) {
        message.more.insert("is_self_reply".to_owned(), true.into());
    }
    // Ids determine the author: a message whose sender is the account is its own, whatever flags it has.
    if is_true(&body["is_echo"]) || item.json["sender"]["id"].as_id() == account {
        Content::Echo(message)
    } else if is_true(&body["is_unsupported"]) && message.text.is_none() && message.attachments.is_empty() {
        Content::Unsupported(message)
    } else {
        Content::Message(message)
    }
}

/// The fields of a message that are read. What else there is stays with the message.
const UNDERSTOOD: &[&str] = &[
    "mid",
    "text",
    "attachments",
    "quick_reply",
    "reply_to",
    "referral",
    "is_echo",
    "is_deleted",
    "is_unsupported",
    "is_self",
];

fn change_item(account: &str, json: &Value) -> Item {
    let field = json["field"].as_text().unwrap_or_else(|| "unknown".to_owned());
    let value = json["value"].clone();
    if field == "messages" && value.is_object() {
        // The dashboard's test button, for apps with Instagram Login.
        return message_item(account, value);
    }
    let from = value["from"]["id"].as_id();
    // The account's own comments have its id, or name it so.
    let is_own = value["from"]["self_ig_scoped_id"].as_text().is_some();
    let id = value["id"].as_text().or_else(|| value["comment_id"].as_text());
    let content = match (field.as_str(), &id) {
        ("comments" | "live_comments", Some(_)) if from == account || is_own => Content::Ignored,
        ("comments" | "live_comments", Some(id)) => Content::Comment(Comment {
            id: id.clone(),
            text: value["text"].as_text(),
            user: InstagramUserId::parse(&from).ok(),
            username: value["from"]["username"].as_text(),
            media: value["media"]["original_media_id"].as_text().or_else(|| value["media"]["id"].as_text()),
            parent: value["parent_id"].as_text(),
            is_live: field == "live_comments",
        }),
        ("mentions", _) => Content::Mention(Mention {
            media: value["media_id"].as_text(),
            comment: value["comment_id"].as_text(),
        }),
        _ => Content::Unknown,
    };
    let comment = matches!(field.as_str(), "comments" | "live_comments");
    Item {
        wire: field,
        thread: from,
        at: None,
        content,
        mid: id.filter(|_| comment),
        repeat: Vec::new(),
        json: value,
    }
}

/// Meta writes ids and times as strings or numbers.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

pub(super) trait Flexible {
    fn as_text(&self) -> Option<String>;
    fn as_id(&self) -> String;
}

impl Flexible for Value {
    fn as_text(&self) -> Option<String> {
        match self {
            Value::String(text) => Some(crate::text::clean(text).into_owned()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn as_id(&self) -> String {
        self.as_text().unwrap_or_default()
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Parses milliseconds, also from a string, and from seconds (ten digits).
fn millis_of(value: &Value) -> Option<Millis> {
    const SECONDS_BELOW: i64 = 100_000_000_000;
    let number = number(value)?;
    Some(if number < SECONDS_BELOW { number.saturating_mul(1_000) } else { number })
}

pub(super) fn flexible_text(raw: &RawValue) -> String {
    json::read(raw.get().as_bytes()).map(|value| text_of(&value)).unwrap_or_default()
}

pub(super) fn flexible_millis(raw: &RawValue) -> Option<Millis> {
    millis_of(&json::read(raw.get().as_bytes())?)
}
