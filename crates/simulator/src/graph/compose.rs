//! The allowed content of a `message` (Meta, "Messaging API", "Generic template", "Button template", "Quick
//! replies").

use serde_json::{Value, json};

use super::errors::GraphError;

const TEXT_BYTES_MAX: usize = 1_000;
const QUICK_REPLIES_MAX: usize = 13;
const QUICK_REPLY_TITLE_CHARS_MAX: usize = 20;
const ELEMENTS_MAX: usize = 10;
const ELEMENT_TEXT_CHARS_MAX: usize = 80;
const BUTTONS_MAX: usize = 3;
const BUTTON_TITLE_CHARS_MAX: usize = 20;
const BUTTON_TEMPLATE_TEXT_CHARS_MAX: usize = 640;
const IMAGES_MAX: usize = 10;

/// A valid message: its text and attachments as in an echo.
#[derive(Debug, PartialEq)]
pub(crate) struct Composed {
    pub(crate) text: Option<String>,
    pub(crate) attachments: Vec<Value>,
}

/// Checks a `message` against the limits. Assumption: all of these are code 100 without a subcode.
pub(crate) fn compose(message: &Value) -> Result<Composed, GraphError> {
    if !message.is_object() {
        return refuse("The parameter message is required.");
    }
    let attachments = attachments(message)?;
    let text = message.get("text").map(|text| text.as_str().unwrap_or_default().to_owned());
    match &text {
        Some(_) if !attachments.is_empty() => return refuse("Message cannot have both text and attachment."),
        Some(text) if text.is_empty() => {
            return refuse("Param message[text] must be a non-empty UTF-8 encoded string.");
        }
        Some(text) if text.len() > TEXT_BYTES_MAX => {
            return refuse("Length of param message[text] must be less than or equal to 1000.");
        }
        None if attachments.is_empty() => return refuse("Param message must be non-empty."),
        _ => {}
    }
    if let Some(replies) = message.get("quick_replies") {
        quick_replies(replies)?;
    }
    Ok(Composed { text, attachments })
}

fn attachments(message: &Value) -> Result<Vec<Value>, GraphError> {
    let list: Vec<&Value> = match (message.get("attachment"), message.get("attachments")) {
        (Some(_), Some(_)) => return refuse("Only one of attachment and attachments may be given."),
        (None, Some(Value::Array(many))) => {
            if many.is_empty() || many.len() > IMAGES_MAX {
                return refuse("Param message[attachments] must hold 1 to 10 images.");
            }
            if many.len() > 1 && many.iter().any(|one| one["type"] != "image") {
                return refuse("Several attachments must all be images.");
            }
            many.iter().collect()
        }
        // Meta's sample for a single image writes an object here.
        (Some(one), None) | (None, Some(one)) => vec![one],
        (None, None) => Vec::new(),
    };
    list.into_iter().map(attachment).collect()
}

fn attachment(given: &Value) -> Result<Value, GraphError> {
    let payload = &given["payload"];
    let filled = |key: &str| payload[key].as_str().is_some_and(|value| !value.is_empty());
    let kind = given["type"].as_str().unwrap_or_default();
    match kind {
        "image" | "video" | "audio" | "file" => {
            let is_web = payload["url"].as_str().is_some_and(|url| url.starts_with("http"));
            if !is_web && !filled("attachment_id") {
                return refuse("Param message[attachment][payload] needs a url or an attachment_id.");
            }
            Ok(json!({"type": kind, "payload": {"url": payload["url"]}}))
        }
        // Echoed as an image (Meta, "Webhooks: examples"; assumption: for our own too).
        "like_heart" => {
            Ok(json!({"type": "image", "payload": {"url": "https://scontent.cdninstagram.com/like.png"}}))
        }
        "MEDIA_SHARE" if filled("id") => {
            Ok(json!({"type": "share", "payload": {"url": "https://lookaside.fbsbx.com/ig_messaging_cdn/"}}))
        }
        "template" => {
            template(payload)?;
            Ok(given.clone())
        }
        _ => refuse("Param message[attachment][type] is not valid."),
    }
}

fn template(payload: &Value) -> Result<(), GraphError> {
    match payload["template_type"].as_str() {
        Some("generic") => {
            let elements = payload["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            if elements.is_empty() || elements.len() > ELEMENTS_MAX {
                return refuse("A generic template has 1 to 10 elements.");
            }
            elements.iter().try_for_each(element)
        }
        Some("button") => {
            if !(1..=BUTTON_TEMPLATE_TEXT_CHARS_MAX).contains(&chars(&payload["text"])) {
                return refuse("A button template's text has 1 to 640 characters.");
            }
            if !(1..=BUTTONS_MAX).contains(&count(&payload["buttons"])) {
                return refuse("A button template has 1 to 3 buttons.");
            }
            buttons(&payload["buttons"])
        }
        Some("product") => {
            let elements = payload["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            if elements.is_empty()
                || elements.len() > ELEMENTS_MAX
                || elements.iter().any(|one| chars(&one["id"]) == 0)
            {
                return refuse("A product template has 1 to 10 elements with an id.");
            }
            Ok(())
        }
        _ => refuse("Param message[attachment][payload][template_type] is not valid."),
    }
}

fn element(element: &Value) -> Result<(), GraphError> {
    if !(1..=ELEMENT_TEXT_CHARS_MAX).contains(&chars(&element["title"]))
        || chars(&element["subtitle"]) > ELEMENT_TEXT_CHARS_MAX
    {
        return refuse("An element's title has 1 to 80 characters, its subtitle at most 80.");
    }
    if ["subtitle", "image_url", "default_action", "buttons"].iter().all(|key| element[*key].is_null()) {
        return refuse("An element needs at least one property besides its title.");
    }
    if count(&element["buttons"]) > BUTTONS_MAX {
        return refuse("An element has at most 3 buttons.");
    }
    buttons(&element["buttons"])
}

fn buttons(buttons: &Value) -> Result<(), GraphError> {
    for button in buttons.as_array().into_iter().flatten() {
        let needed = match button["type"].as_str() {
            Some("web_url") => "url",
            Some("postback") => "payload",
            _ => return refuse("A button is a web_url or a postback."),
        };
        if !(1..=BUTTON_TITLE_CHARS_MAX).contains(&chars(&button["title"])) || chars(&button[needed]) == 0 {
            return refuse("A button needs a title of at most 20 characters, and a url or a payload.");
        }
    }
    Ok(())
}

fn quick_replies(replies: &Value) -> Result<(), GraphError> {
    let replies = replies.as_array().map(Vec::as_slice).unwrap_or_default();
    if replies.is_empty() || replies.len() > QUICK_REPLIES_MAX {
        return refuse("There may be 1 to 13 quick replies.");
    }
    for reply in replies {
        match reply["content_type"].as_str() {
            Some("text") => {
                if !(1..=QUICK_REPLY_TITLE_CHARS_MAX).contains(&chars(&reply["title"]))
                    || chars(&reply["payload"]) == 0
                {
                    return refuse("A quick reply needs a title of at most 20 characters, and a payload.");
                }
            }
            // Off since 5 October 2026, in all versions (Meta, "Instagram platform: changelog").
            Some("user_phone_number" | "user_email") => {
                return refuse("Quick replies of this content_type are no longer supported.");
            }
            _ => return refuse("A quick reply's content_type is not valid."),
        }
    }
    Ok(())
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

fn refuse<T>(message: &str) -> Result<T, GraphError> {
    Err(GraphError::new(100, format!("(#100) {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(count: usize, title: &str) -> Value {
        let reply = json!({"content_type": "text", "title": title, "payload": "P"});
        json!({"text": "Pick", "quick_replies": vec![reply; count]})
    }

    fn generic(elements: &Value) -> Value {
        json!({"attachment": {"type": "template", "payload": {"template_type": "generic", "elements": elements}}})
    }

    fn button(count: usize, text: &str) -> Value {
        let button = json!({"type": "postback", "title": "t", "payload": "p"});
        json!({"attachment": {"type": "template", "payload": {
            "template_type": "button", "text": text, "buttons": vec![button; count],
        }}})
    }

    #[test]
    fn messages_within_the_limits_are_accepted() {
        let element = json!({"title": "t".repeat(80), "subtitle": "s".repeat(80)});
        let image = json!({"type": "image", "payload": {"url": "https://example.com/a.jpg"}});
        for message in [
            json!({"text": "x".repeat(1000)}),
            json!({"text": "ä".repeat(500)}),
            quick(13, &"t".repeat(20)),
            generic(&json!(vec![element; 10])),
            button(3, &"x".repeat(640)),
            json!({"attachments": vec![image.clone(); 10]}),
            json!({"attachments": image.clone()}),
            json!({"attachment": image}),
            json!({"attachment": {"type": "like_heart"}}),
        ] {
            assert!(compose(&message).is_ok(), "{message}");
        }
    }

    #[test]
    fn what_is_beyond_the_limits_is_refused_with_100() {
        let image = json!({"type": "image", "payload": {"url": "https://example.com/a.jpg"}});
        for message in [
            json!({"text": "x".repeat(1001)}),
            json!({"text": "ä".repeat(501)}),
            json!({"text": ""}),
            json!({}),
            json!({"text": "x", "attachment": image}),
            json!({"attachments": vec![image; 11]}),
            json!({"attachment": {"type": "image", "payload": {}}}),
            json!({"attachment": {"type": "hologram", "payload": {}}}),
            quick(14, "t"),
            quick(1, &"t".repeat(21)),
            json!({"text": "Pick", "quick_replies": [{"content_type": "user_phone_number"}]}),
            generic(&json!([])),
            generic(&json!([{"title": "alone"}])),
            generic(&json!([{"title": "t".repeat(81), "subtitle": "s"}])),
            button(0, "x"),
            button(4, "x"),
            button(1, &"x".repeat(641)),
        ] {
            assert_eq!(compose(&message).map_err(|error| error.code), Err(100), "{message}");
        }
    }
}
