//! Messages as text for the agent, which reads text only (Retell: "Text chat via the create-chat-completion
//! API does not support images or other multimedia").

use crate::event::{Attachment, Inbound, Postback, ReplyTo};

/// The column `messages.kind` of an inbound message: the type of its first attachment, or of its text.
pub fn kind_of(message: &Inbound) -> String {
    if let Some(attachment) = message.attachments.first() {
        return attachment.kind.clone();
    }
    match (&message.quick_reply, &message.reply_to) {
        (Some(_), _) => "quick_reply",
        (None, Some(ReplyTo::Story { .. })) => "story_reply",
        _ => "text",
    }
    .to_owned()
}

/// Whether the agent can answer a message: it has content that can be expressed as text.
pub fn asks(message: &Inbound) -> bool {
    let ephemeral = message.attachments.iter().all(|attachment| attachment.kind == "ephemeral");
    let spoken = message.text.as_deref().is_some_and(|text| !text.trim().is_empty());
    spoken || message.quick_reply.is_some() || (!message.attachments.is_empty() && !ephemeral)
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
    let what = match attachment.kind.as_str() {
        "image" | "video" | "audio" | "file" => attachment.kind.as_str(),
        "share" | "ig_post" => "shared post",
        "reel" | "ig_reel" => "shared reel",
        "story_mention" => "mentioned us in a story",
        "story" | "ig_story" => "shared story",
        _ => "attachment",
    };
    match attachment.title.as_deref().map(str::trim) {
        Some(title) if !title.is_empty() => format!("[{what}: {title}]"),
        _ => format!("[{what}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(kind: &str, title: Option<&str>) -> Attachment {
        Attachment { kind: kind.into(), url: None, title: title.map(Into::into) }
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
        assert!(asks(&message(None, "image")));
        assert!(!asks(&message(None, "ephemeral")));
        assert!(asks(&message(Some("hi"), "ephemeral")));
        assert!(!asks(&Inbound::default()));
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
