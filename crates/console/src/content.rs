//! What a message says and shows: text, media, cards, buttons, as Instagram shows them.

use crate::BASE;
use crate::words::{self, content as text};
use dmrelay_views::MessageView;
use maud::{Markup, html};
use serde_json::Value;

/// What is in a bubble.
pub(crate) fn content(message: &MessageView) -> Markup {
    let attachments: Vec<&Value> = message.attachments.as_array().into_iter().flatten().collect();
    let sent = Sent::of(&message.payload);
    let has_copy = attachments.iter().any(|one| one["mediaId"].is_string());
    let shows_something = sent.shows_something() || has_copy;
    html! {
        @match &message.text {
            Some(text) => p { (text) },
            None if !shows_something => p class="kind" { (words::kind(&message.kind)) },
            None => {},
        }
        @for attachment in attachments { (of_customer(attachment)) }
        (sent.render(has_copy))
    }
}

/// Graph's `message` object as a business sends it.
pub(crate) fn message(message: &Value) -> Markup {
    html! {
        @if let Some(text) = message["text"].as_str() { p { (text) } }
        (Sent::of(message).render(false))
    }
}

/// What a customer sent: our copy of it, or a link. Stories and posts of others are linked only; nothing is loaded from elsewhere.
fn of_customer(attachment: &Value) -> Markup {
    let kind = attachment["type"].as_str().unwrap_or_default();
    let copy = attachment["mediaId"].as_str().map(|id| format!("{BASE}/media/{id}"));
    let title = attachment["title"].as_str();
    let words = attachment["words"].as_str().filter(|words| !words.is_empty());
    let name = words.map_or_else(|| words::kind(kind), str::to_owned);
    let url = attachment["url"].as_str().filter(|url| url.starts_with("https://"));
    html! {
        @match (kind, copy) {
            ("image" | "sticker" | "media", Some(copy)) => {
                a class="picture" href=(copy) target="_blank" {
                    img src={ (copy) "?thumbnail=true" } alt=(name) loading="lazy";
                }
            },
            ("video", Some(copy)) => video class="picture" src=(copy) controls preload="metadata" aria-label=(words::kind(kind)) {},
            ("audio", Some(copy)) => audio src=(copy) controls preload="none" aria-label=(words::kind(kind)) {},
            (_, Some(copy)) => a class="media" href=(copy) { (text::OPEN_FILE) },
            (_, None) => @if let Some(title) = title { p class="quiet" { (title) } },
        }
        @if let Some(words) = words { p class="words" { (words) } }
        // Where there is no copy, or not yet.
        @if let Some(url) = url {
            a class="media" href=(url) rel="noreferrer noopener" target="_blank" { (text::OPEN_MEDIA) }
        }
    }
}

/// What the business sent, as Graph's `message` object.
struct Sent<'a> {
    message: &'a Value,
    attachments: Vec<&'a Value>,
}

impl<'a> Sent<'a> {
    fn of(message: &'a Value) -> Self {
        let one = message.get("attachment").into_iter();
        let many = message["attachments"].as_array().into_iter().flatten();
        Self { message, attachments: one.chain(many).collect() }
    }

    fn shows_something(&self) -> bool {
        !self.attachments.is_empty()
    }

    /// With `has_copy` its media are shown by our copies of them.
    fn render(&self, has_copy: bool) -> Markup {
        let replies = self.message["quick_replies"].as_array().into_iter().flatten();
        let replies: Vec<&str> = replies.filter_map(|reply| reply["title"].as_str()).collect();
        html! {
            @if !has_copy { @for attachment in &self.attachments { (attached(attachment)) } }
            @if !replies.is_empty() {
                ul class="chips" aria-label=(text::QUICK_REPLIES) { @for title in replies { li { (title) } } }
            }
        }
    }
}

fn attached(attachment: &Value) -> Markup {
    let payload = &attachment["payload"];
    let url = payload["url"].as_str().filter(|url| url.starts_with("https://"));
    html! {
        @match attachment["type"].as_str().unwrap_or_default() {
            "template" => (template(payload)),
            "like_heart" => p class="heart" role="img" aria-label=(text::HEART) { "❤" },
            kind => {
                p class="kind" { (words::kind(kind)) }
                @if let Some(url) = url {
                    a class="media" href=(url) rel="noreferrer noopener" target="_blank" { (text::OPEN_LINK) }
                }
            },
        }
    }
}

fn template(payload: &Value) -> Markup {
    let elements: Vec<&Value> = payload["elements"].as_array().into_iter().flatten().collect();
    html! {
        @if let Some(said) = payload["text"].as_str() {
            div class="template" { p { (said) } (buttons(&payload["buttons"])) }
        }
        @if !elements.is_empty() {
            ol class="carousel" tabindex="0" aria-label=(text::CARDS) {
                @for element in elements {
                    li class="template" {
                        strong { (element["title"].as_str().or(element["id"].as_str()).unwrap_or_default()) }
                        @if let Some(subtitle) = element["subtitle"].as_str() { p class="quiet" { (subtitle) } }
                        (buttons(&element["buttons"]))
                    }
                }
            }
        }
    }
}

/// They can be tapped on the customer's phone only.
fn buttons(buttons: &Value) -> Markup {
    let titles: Vec<&str> =
        buttons.as_array().into_iter().flatten().filter_map(|button| button["title"].as_str()).collect();
    html! { @if !titles.is_empty() { ul class="chips" { @for title in titles { li { (title) } } } } }
}
