//! An item of an entry: its kind follows from the JSON key that is present.

use super::content::{Attachment, Comment, Content, Edit, Inbound, Postback, Reaction, Referral, ReplyTo};
use super::{EventKey, Kind};
use crate::clock::Millis;
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
            Content::Message(_) => Kind::Message,
            Content::Echo(_) => Kind::Echo,
            Content::Unsend { .. } => Kind::Unsend,
            Content::Unsupported { .. } => Kind::Unsupported,
            Content::Postback(_) => Kind::Postback,
            Content::Referral(_) => Kind::Referral,
            Content::Reaction(_) => Kind::Reaction,
            Content::Edit(_) => Kind::Edit,
            Content::Read { .. } => Kind::Read,
            Content::Handover => Kind::Handover,
            Content::Comment(_) => Kind::Comment,
            Content::Mention => Kind::Mention,
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
        Container::Messaging | Container::Standby => Some(message_item(account, json)),
        Container::Change => Some(change_item(account, &json)),
    }
}

fn message_item(account: &str, json: Value) -> Item {
    let sender = json["sender"]["id"].as_id();
    let recipient = json["recipient"]["id"].as_id();
    let thread = if sender == account { recipient.clone() } else { sender.clone() };
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
    item.wire = wire.map_or_else(|| "unknown".to_owned(), |wire| (*wire).to_owned());
    let body = item.json[item.wire.as_str()].clone();
    item.mid = body["mid"].as_text();
    item.content = item_content(&mut item, account, &body);
    // Ids decide who acts. Messages of the account are echoes; what else it does itself says nothing about the customer:
    // its own reaction opens no window, and its own reading is not theirs.
    let is_own = sender == account && !matches!(item.wire.as_str(), "message" | "message_edit");
    let is_own = is_own && !matches!(item.content, Content::Handover | Content::Unknown);
    if is_own || dashboard_test || is_true(&item.json["is_self"]) || is_true(&body["is_self"]) {
        item.content = Content::Ignored;
    }
    item
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
        ("referral", _) => Content::Referral(referral(body).unwrap_or_default()),
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
    let message = Inbound {
        mid,
        text: body["text"].as_text(),
        attachments: attachments(&body["attachments"]),
        quick_reply: body["quick_reply"]["payload"].as_text(),
        reply_to: reply_to(&body["reply_to"]),
        referral: referral(&body["referral"]),
    };
    // Ids determine the author: a message whose sender is the account is its own, whatever flags it has.
    if is_true(&body["is_echo"]) || item.json["sender"]["id"].as_id() == account {
        Content::Echo(message)
    } else if is_true(&body["is_unsupported"]) {
        Content::Unsupported { mid: message.mid }
    } else {
        Content::Message(message)
    }
}

fn change_item(account: &str, json: &Value) -> Item {
    let field = json["field"].as_text().unwrap_or_else(|| "unknown".to_owned());
    let value = json["value"].clone();
    if field == "messages" && value.is_object() {
        // The dashboard's test button, for apps with Instagram Login.
        return message_item(account, value);
    }
    let from = value["from"]["id"].as_id();
    let id = value["id"].as_text().or_else(|| value["comment_id"].as_text());
    let content = match (field.as_str(), &id) {
        ("comments" | "live_comments", Some(_)) if from == account => Content::Ignored,
        ("comments" | "live_comments", Some(id)) => {
            Content::Comment(Comment { id: id.clone(), text: value["text"].as_text() })
        }
        ("mentions", _) => Content::Mention,
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

fn attachments(value: &Value) -> Vec<Attachment> {
    let mut list: Vec<Attachment> = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        let payload = &item["payload"];
        list.push(Attachment {
            kind: item["type"].as_text().unwrap_or_else(|| "unknown".to_owned()),
            url: payload["url"].as_text().or_else(|| item["url"].as_text()),
            title: payload["title"].as_text().or_else(|| item["title"].as_text()),
        });
    }
    // A shared post arrives as both `share` and `ig_post`.
    if list.iter().any(|attachment| attachment.kind == "ig_post") {
        list.retain(|attachment| attachment.kind != "share");
    }
    list
}

fn reply_to(value: &Value) -> Option<ReplyTo> {
    if let Some(mid) = value["mid"].as_text() {
        return Some(ReplyTo::Mid(mid));
    }
    let story = value.get("story")?;
    Some(ReplyTo::Story { id: story["id"].as_text(), url: story["url"].as_text() })
}

fn referral(value: &Value) -> Option<Referral> {
    value.as_object()?;
    Some(Referral {
        reference: value["ref"].as_text(),
        source: value["source"].as_text(),
        ad_id: value["ad_id"].as_text(),
        product_id: value["product"]["id"].as_text(),
    })
}

/// Meta writes ids and times as strings or numbers.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

trait Flexible {
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
