//! The parts of a message: attachments, what it replies to, how the user arrived. Whatever Meta adds to one of them
//! stays with it.

use super::content::{Attachment, Referral, ReplyTo};
use super::item::Flexible;
use serde_json::{Map, Value};

/// The source of a referral that tells of a story (Meta's Postman collection, "Instagram API").
const STORY_MENTION: &str = "story_mention";

/// The attachments of a message, each told once.
pub(super) fn attachments(value: &Value) -> Vec<Attachment> {
    let list = match value {
        Value::Array(items) => items.iter().map(attachment).collect(),
        Value::Object(_) => vec![attachment(value)],
        _ => Vec::new(),
    };
    without_twins(list)
}

fn attachment(item: &Value) -> Attachment {
    let payload = &item["payload"];
    // Stories name theirs differently.
    let url = [&payload["url"], &payload["story_media_url"], &item["url"]];
    let title = [&payload["title"], &item["title"]];
    Attachment {
        kind: item["type"].as_text().unwrap_or_else(|| "unknown".to_owned()),
        url: url.into_iter().find_map(Flexible::as_text),
        title: title.into_iter().find_map(Flexible::as_text),
        media: None,
        words: None,
        // The last is ours.
        more: others(payload, &["type", "url", "title", "story_media_url", "mediaId", "words"]),
    }
}

/// One thing may be told twice, in the word of old and in the new one: a shared post as `share` and as `ig_post`, a sticker
/// as `image` and as `sticker`.
fn without_twins(list: Vec<Attachment>) -> Vec<Attachment> {
    let mut all: Vec<Attachment> = Vec::with_capacity(list.len());
    for new in list {
        match all.iter_mut().find(|known| known.is_twin_of(&new)) {
            None => all.push(new),
            Some(known) if known.is_vague() => {
                let old = std::mem::replace(known, new);
                known.learn(old);
            }
            Some(known) => known.learn(new),
        }
    }
    all
}

impl Attachment {
    /// Whether it is the word of old for something that may have a better one.
    fn is_vague(&self) -> bool {
        matches!(self.kind.as_str(), "share" | "image")
    }

    fn is_twin_of(&self, other: &Self) -> bool {
        let same_url = self.url.is_some() && self.url == other.url;
        match (self.kind.as_str(), other.kind.as_str()) {
            (one, other) if one == other => same_url,
            ("share", "ig_post" | "post" | "ig_reel" | "reel" | "ig_story" | "story")
            | ("ig_post" | "post" | "ig_reel" | "reel" | "ig_story" | "story", "share") => true,
            ("image", "sticker") | ("sticker", "image") => same_url || self.shares_sticker(other),
            _ => false,
        }
    }

    fn shares_sticker(&self, other: &Self) -> bool {
        self.more.get("sticker_id").is_some_and(|id| other.more.get("sticker_id") == Some(id))
    }

    fn learn(&mut self, twin: Self) {
        self.url = self.url.take().or(twin.url);
        self.title = self.title.take().or(twin.title);
        for (name, value) in twin.more {
            self.more.entry(name).or_insert(value);
        }
    }
}

pub(super) fn reply_to(value: &Value) -> Option<ReplyTo> {
    if let Some(mid) = value["mid"].as_text() {
        return Some(ReplyTo::Mid(mid));
    }
    let story = value.get("story")?;
    Some(ReplyTo::Story { id: story["id"].as_text(), url: story["url"].as_text() })
}

pub(super) fn referral(value: &Value) -> Option<Referral> {
    value.as_object()?;
    let product = &value["product"];
    let mut more = others(value, &["ref", "source", "ad_id"]);
    if product.as_object().is_some_and(|product| product.keys().all(|name| name == "id")) {
        more.remove("product");
    }
    Some(Referral {
        reference: value["ref"].as_text(),
        source: value["source"].as_text(),
        ad_id: value["ad_id"].as_text(),
        product_id: product["id"].as_text(),
        more,
    })
}

/// Whether a referral tells that the user mentioned the account in a story.
pub(super) fn is_story_mention(referral: &Referral) -> bool {
    let kind = referral.more.get("type").and_then(Value::as_str);
    [referral.source.as_deref(), kind]
        .into_iter()
        .flatten()
        .any(|word| word.eq_ignore_ascii_case(STORY_MENTION))
}

/// The fields of an object beyond those that are understood.
pub(super) fn others(value: &Value, known: &[&str]) -> Map<String, Value> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
