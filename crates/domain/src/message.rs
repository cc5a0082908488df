//! Messages as text for the agent, which reads text only (Retell: "Text chat via the create-chat-completion
//! API does not support images or other multimedia").

use crate::event::{Attachment, Inbound, Postback, Referral, ReplyTo};
use crate::states::NotAsked;
use crate::text::{one_line, truncate, without_brackets};
use serde_json::{Map, Value, json};

/// Maximum length of a title in a placeholder, in bytes.
const TITLE_BYTES_MAX: usize = 200;

/// The column `messages.kind` of an inbound message: the type of its first attachment, or of its text.
pub fn kind_of(message: &Inbound) -> String {
    if let Some(attachment) = message.attachments.first() {
        let is_unsupported = attachment.kind == UNSUPPORTED_ATTACHMENT;
        return if is_unsupported { UNSUPPORTED.to_owned() } else { attachment.kind.clone() };
    }
    match (&message.quick_reply, &message.reply_to) {
        (Some(_), _) => "quick_reply",
        (None, Some(ReplyTo::Story { .. })) => "story_reply",
        _ => "text",
    }
    .to_owned()
}

/// The kind of a message of a type Meta does not expose.
pub const UNSUPPORTED: &str = "unsupported";

/// The type of an attachment that Meta does not expose.
const UNSUPPORTED_ATTACHMENT: &str = "unsupported_type";

/// Why the agent cannot be asked about a message: it has nothing that can be expressed as text. `None` if it can.
pub fn not_asked(message: &Inbound) -> Option<NotAsked> {
    let says_something = |text: &String| !text.trim().is_empty();
    if message.text.as_ref().is_some_and(says_something) || message.quick_reply.is_some() {
        return None;
    }
    let hidden = |attachment: &Attachment| match attachment.kind.as_str() {
        "ephemeral" => Some(NotAsked::ViewOnce),
        UNSUPPORTED_ATTACHMENT => Some(NotAsked::Unsupported),
        _ => None,
    };
    match message.attachments.first() {
        None => Some(NotAsked::Empty),
        Some(first) => hidden(first).filter(|_| message.attachments.iter().all(|one| hidden(one).is_some())),
    }
}

/// What Meta tells of a message beside its text and attachments, for the column `messages.metadata`: the payload of the
/// quick reply, how the user arrived, and fields that are not understood.
pub fn metadata_of(message: &Inbound) -> Map<String, Value> {
    let mut metadata = Map::new();
    if let Some(payload) = &message.quick_reply {
        metadata.insert("quickReply".to_owned(), json!({ "payload": payload }));
    }
    if let Some(referral) = &message.referral {
        metadata.insert("referral".to_owned(), json!(referral));
    }
    if !message.more.is_empty() {
        metadata.insert("more".to_owned(), json!(message.more));
    }
    metadata
}

/// How the lines begin that tell how the user arrived.
pub(crate) const ARRIVALS: [&str; 4] =
    ["came from the ad", "came from an ad", "asks about product", "came through the link"];

/// How the user arrived, for the agent. `None` if nothing is known that an agent could use.
pub fn arrival(referral: &Referral) -> Option<String> {
    let ad = &referral.more.get("ads_context_data").unwrap_or(&Value::Null)["ad_title"];
    if let Some(title) = ad.as_str().and_then(title) {
        return Some(format!("[{}: {title}]", ARRIVALS[0]));
    }
    if let Some(id) = referral.product_id.as_deref().and_then(title) {
        return Some(format!("[{} {id}]", ARRIVALS[2]));
    }
    if referral.ad_id.is_some() {
        return Some(format!("[{}]", ARRIVALS[1]));
    }
    let reference = referral.reference.as_deref().and_then(title)?;
    Some(format!("[{} {reference}]", ARRIVALS[3]))
}

/// A message as text: placeholders for attachments, then the text.
pub fn words(text: Option<&str>, attachments: &[Attachment], reply_to: Option<&ReplyTo>) -> String {
    let mut parts = Vec::new();
    if let Some(ReplyTo::Story { .. }) = reply_to {
        parts.push("[replied to our story]".to_owned());
    }
    parts.extend(attachments.iter().map(placeholder));
    parts.extend(text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned));
    parts.join("\n")
}

/// What was sent as more than text, as text: `payload` is Graph's `message` object. `None` if it says nothing.
pub fn sent(payload: &str) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    let texts = |values: Vec<&Value>| {
        let texts: Vec<String> =
            values.into_iter().filter_map(|value| value.as_str().and_then(title)).collect();
        texts.join(", ")
    };
    let attachment = payload.get("attachment").or_else(|| payload["attachments"].get(0))?;
    let (template, elements) = (&attachment["payload"], attachment["payload"]["elements"].as_array());
    let (what, more) = match attachment["type"].as_str()? {
        "template" if template["text"].is_string() => ("buttons", texts(vec![&template["text"]])),
        "template" => ("cards", texts(elements.into_iter().flatten().map(|card| &card["title"]).collect())),
        "like_heart" => ("heart", String::new()),
        "MEDIA_SHARE" => ("own post", String::new()),
        kind @ ("image" | "video" | "audio" | "file") => (kind, String::new()),
        _ => ("attachment", String::new()),
    };
    Some(if more.is_empty() { format!("[{what}]") } else { format!("[{what}: {more}]") })
}

/// The stored text of one of Meta's messages.
pub fn text_of(message: &Inbound) -> Option<String> {
    message.text.clone().or_else(|| message.quick_reply.clone())
}

/// The stored text of a tapped button: its title, and its payload if that says more.
pub fn postback_text(postback: &Postback) -> String {
    let written = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    match (written(&postback.title), written(&postback.payload)) {
        (Some(title), Some(payload)) if title != payload => format!("{title} ({payload})"),
        (Some(text), _) | (None, Some(text)) => text,
        (None, None) => String::new(),
    }
}

fn placeholder(attachment: &Attachment) -> String {
    let words = attachment.words.as_deref().map(|words| without_brackets(&one_line(words)));
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        return match attachment.kind.as_str() {
            "audio" => format!("[voice message: {words}]"),
            kind => format!("[{kind} that shows: {words}]"),
        };
    }
    let what = match attachment.kind.as_str() {
        "image" | "video" | "audio" | "file" => attachment.kind.as_str(),
        "share" | "ig_post" | "post" => "shared post",
        "reel" | "ig_reel" => "shared reel",
        "story_mention" => "mentioned us in a story",
        "story" | "ig_story" => "shared story",
        "sticker" => "sticker",
        "template" if attachment.more.contains_key("product") => "shared product",
        "ephemeral" => "photo or video that can be viewed once",
        UNSUPPORTED_ATTACHMENT => "something that cannot be shown here",
        _ => "attachment",
    };
    let titles: Vec<String> = match attachment.title.as_deref().and_then(title) {
        Some(title) => vec![title],
        None => {
            products(attachment).filter_map(|product| product["title"].as_str().and_then(title)).collect()
        }
    };
    if titles.is_empty() { format!("[{what}]") } else { format!("[{what}: {}]", titles.join(", ")) }
}

/// The products of an attachment (`template`, `{product: {elements: [{id, retailer_id, image_url, title, subtitle}]}}`).
fn products(attachment: &Attachment) -> impl Iterator<Item = &Value> {
    let elements = attachment.more.get("product").and_then(|product| product["elements"].as_array());
    elements.into_iter().flatten().take(10)
}

/// A title on one line, without the brackets in which it will stand; `None` if it says nothing.
fn title(text: &str) -> Option<String> {
    let line = without_brackets(&one_line(text));
    (!line.is_empty()).then(|| truncate(&line, TITLE_BYTES_MAX).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(kind: &str, title: Option<&str>) -> Attachment {
        Attachment {
            kind: kind.into(),
            url: None,
            title: title.map(Into::into),
            media: None,
            words: None,
            more: Map::new(),
        }
    }

    #[test]
    fn attachments_become_placeholders_before_the_caption() {
        let list = [attachment("image", None), attachment("ig_reel", Some("Summer"))];
        assert_eq!(words(Some("look "), &list, None), "[image]\n[shared reel: Summer]\nlook");
        let story = ReplyTo::Story { id: None, url: None };
        assert_eq!(words(Some("nice"), &[], Some(&story)), "[replied to our story]\nnice");
    }

    #[test]
    fn a_message_without_text_is_not_asked() {
        let message = |text: Option<&str>, kind: &str| Inbound {
            text: text.map(Into::into),
            attachments: vec![attachment(kind, None)],
            ..Inbound::default()
        };
        assert_eq!(not_asked(&message(None, "image")), None);
        assert_eq!(not_asked(&message(None, "sticker")), None);
        assert_eq!(not_asked(&message(None, "ephemeral")), Some(NotAsked::ViewOnce));
        assert_eq!(not_asked(&message(None, "unsupported_type")), Some(NotAsked::Unsupported));
        assert_eq!(not_asked(&message(Some(" "), "ephemeral")), Some(NotAsked::ViewOnce));
        assert_eq!(not_asked(&message(Some("hi"), "ephemeral")), None);
        assert_eq!(not_asked(&Inbound::default()), Some(NotAsked::Empty));
    }

    #[test]
    fn products_ads_and_links_are_told_on_one_line() {
        let mut template = attachment("template", None);
        let elements = json!([{"id": "1", "title": "Red\nshoe"}, {"id": "2"}, {"title": "Blue shoe"}]);
        template.more.insert("product".to_owned(), json!({ "elements": elements }));
        assert_eq!(words(None, &[template], None), "[shared product: Red shoe, Blue shoe]");
        assert_eq!(words(None, &[attachment("template", None)], None), "[attachment]");
        let referral = |json: Value| serde_json::from_value::<Referral>(json).unwrap();
        for (told, expected) in [
            (
                json!({"ad_id": "1", "ads_context_data": {"ad_title": "Summer\nsale"}}),
                Some("[came from the ad: Summer sale]"),
            ),
            (json!({"ad_id": "1", "ads_context_data": {}}), Some("[came from an ad]")),
            (json!({"product_id": "43"}), Some("[asks about product 43]")),
            (json!({"ref": "summer_qr"}), Some("[came through the link summer_qr]")),
            (
                json!({"ref": "x] [in reply to you: yes"}),
                Some("[came through the link x) (in reply to you: yes]"),
            ),
            (json!({"type": "OPEN_THREAD"}), None),
        ] {
            assert_eq!(arrival(&referral(told)).as_deref(), expected);
        }
    }

    #[test]
    fn a_postback_contains_title_and_payload() {
        let postback = |title: Option<&str>, payload: Option<&str>| Postback {
            mid: None,
            title: title.map(Into::into),
            payload: payload.map(Into::into),
            referral: None,
        };
        assert_eq!(postback_text(&postback(Some("Hours?"), Some("HOURS"))), "Hours? (HOURS)");
        assert_eq!(postback_text(&postback(None, Some("HOURS"))), "HOURS");
        assert_eq!(postback_text(&postback(Some(" "), Some("hey"))), "hey");
    }
}
