//! A conversation: its messages, who answers, and the composer.

use crate::inbox::{avatar, moment, name_of};
use crate::{BASE, Person, failed, words};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ChatView, DeadLetterView, MessageView};
use maud::{Markup, html};
use uuid::Uuid;

/// A conversation.
pub struct Thread<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The chat.
    pub chat: &'a ChatView,
    /// What happened in it, oldest first.
    pub entries: &'a [Entry<'a>],
    /// Where older messages can be had.
    pub older: Option<String>,
    /// Whether the bot is asked now.
    pub is_thinking: bool,
    /// Where the list of conversations is, for narrow windows.
    pub back: String,
    /// What is known of the customer.
    pub panel: Markup,
}

/// One thing that happened in a conversation.
pub enum Entry<'a> {
    /// A message.
    Message(&'a MessageView),
    /// What failed for good, and waits for somebody.
    Failed(&'a DeadLetterView),
    /// Who answers changed.
    Changed {
        /// An id for the fragment.
        id: Uuid,
        /// When.
        at: String,
        /// Whether the bot answers from then on.
        is_bots: bool,
        /// Who changed it.
        by: String,
    },
}

/// The panes of a conversation: what was said, and what is known of the customer.
pub fn panes(all: &Thread<'_>) -> Markup {
    html! { (thread(all)) (all.panel) }
}

fn thread(thread: &Thread<'_>) -> Markup {
    let Thread { person, chat, entries, .. } = thread;
    html! {
        div class="thread" id="thread" data-chat=(chat.chat_id) {
            (head(person, chat, &thread.back))
            div class="scroll" id="scroll" tabindex="0" aria-label="Messages" {
                (link_to_older(thread.older.as_deref()))
                ol id="messages" aria-live="polite" { (rest(person, entries)) }
                (thinking(chat.chat_id, thread.is_thinking))
            }
            button id="newer" class="newer" type="button" hidden { "New messages" }
            (composer(person, chat))
        }
    }
}

/// A page of older messages, with the link to those before.
pub fn older(person: &Person, entries: &[Entry<'_>], before: Option<&str>) -> Markup {
    html! { (link_to_older(before)) (rest(person, entries)) }
}

fn link_to_older(address: Option<&str>) -> Markup {
    html! {
        @if let Some(address) = address {
            a class="older" id="older" href=(address) data-get={ (address) "&part=older" } { (words::OLDER) }
        }
    }
}

/// Entries with a line above each new day.
fn rest(person: &Person, entries: &[Entry<'_>]) -> Markup {
    let day = |entry: &Entry<'_>| match entry {
        Entry::Message(message) => message.created_at.get(..10).unwrap_or_default().to_owned(),
        Entry::Failed(letter) => letter.created_at.get(..10).unwrap_or_default().to_owned(),
        Entry::Changed { at, .. } => at.get(..10).unwrap_or_default().to_owned(),
    };
    let days: Vec<String> = entries.iter().map(day).collect();
    let is_new = |index: usize| index == 0 || days[index] != days[index - 1];
    html! {
        @for (index, entry) in entries.iter().enumerate() {
            @if is_new(index) {
                li class="day" id={ "day-" (days[index]) } { time datetime=(days[index]) data-day { (days[index]) } }
            }
            @match entry {
                Entry::Message(message) => (bubble(message)),
                Entry::Failed(letter) => (failed::letter(person, letter, None)),
                Entry::Changed { id, at, is_bots, by } => (changed(*id, at, *is_bots, by)),
            }
        }
    }
}

/// Who has the conversation, and what can be done about it, as a fragment.
pub fn head(person: &Person, chat: &ChatView, back: &str) -> Markup {
    let name = name_of(chat);
    let act = |verb: &str| format!("{BASE}/chats/{}/{verb}", chat.chat_id);
    html! {
        div class="head" id="head" data-chat=(chat.chat_id) data-open=(chat.can_send.allowed) {
            a class="back" href=(back) aria-label="Back to the list" { "‹" }
            (avatar(name, &chat.instagram_user_id))
            div class="whom" {
                h1 { (name) }
                p {
                    @if let Some(username) = &chat.username { "@" (username) }
                    @if let Some(account) = &chat.account_username { span class="to" { " to @" (account) } }
                }
            }
            button class="quiet info" type="button" data-panel aria-label="About the customer" title="About the customer" { "i" }
            div class="mode" {
                @if chat.mode == "bot" {
                    span class="pill bot" { "Bot answers" }
                    @if person.may(Permission::TakeOver) {
                        @for (hours, label) in [(1, "1 h"), (12, "12 h")] {
                            form method="post" action=(act("takeover")) data-post {
                                input type="hidden" name="csrf" value=(person.csrf);
                                input type="hidden" name="hours" value=(hours);
                                button class=[(hours == 12).then_some("take")] title={ "The bot stops replying for " (label) } {
                                    "Take over " (label)
                                }
                            }
                        }
                    }
                } @else {
                    span class={ "pill " (chat.mode) } {
                        @if chat.mode == "human" { "Human answers" } @else { "Paused" }
                        @if let Some(until) = &chat.resume_at { " · " time datetime=(until) data-left { (until.get(11..16).unwrap_or(until)) } }
                    }
                    @if person.may(Permission::TakeOver) {
                        form method="post" action=(act("release")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button class="take" title="The bot answers again, beginning with what is unanswered" { "Give back" span class="long" { " to the bot" } }
                        }
                    }
                }
            }
        }
    }
}

/// A message, as a fragment.
pub fn bubble(message: &MessageView) -> Markup {
    let side = match message.author.as_str() {
        "user" => "customer",
        "agent" => "bot",
        "human" => "colleague",
        "native" | "automation" => "app",
        _ => "note",
    };
    let class = format!("bubble {side} is-{}", message.status);
    html! {
        li class=(class) id={ "m-" (message.message_id) } data-into="messages" data-at=(message.created_at) {
            @if side == "note" {
                p class="line" { (words::kind(&message.kind)) }
            } @else {
                @if let Some(by) = author(message) { span class="by" { (by) } }
                (quote(message))
                @match &message.text {
                    Some(text) => p { (text) },
                    None => p class="kind" { (words::kind(&message.kind)) },
                }
                @for url in media(message) { a class="media" href=(url) rel="noreferrer noopener" target="_blank" { "Open at Instagram" } }
                @if let Some(emoji) = message.metadata["reaction"].as_str() { span class="reaction" { (emoji) } }
                span class="meta" {
                    @if message.metadata["edits"].as_i64().is_some_and(|edits| edits > 0) { "edited · " }
                    a href={ (BASE) "/chats/" (message.chat_id) "/trace?message=" (message.message_id) } data-show title="Delivery details" { (moment(&message.at)) }
                    @if message.direction == "outbound" { (ticks(message)) }
                }
                (trouble(message))
            }
        }
    }
}

/// What the message replies to. Stories are linked, never shown: they end after a day, and are not ours to keep.
fn quote(message: &MessageView) -> Markup {
    let story = message.reply_to["story"]["url"].as_str().filter(|url| url.starts_with("https://"));
    html! {
        @if let Some(url) = story {
            a class="quote" href=(url) rel="noreferrer noopener" target="_blank" { "In reply to your story (it can be seen for 24 hours)" }
        } @else if !message.reply_to.is_null() {
            span class="quote" { "In reply to an earlier message" }
        }
        @if matches!(message.kind.as_str(), "postback" | "quick_reply") { span class="quote" { "Tapped" } }
    }
}

fn author(message: &MessageView) -> Option<String> {
    match message.author.as_str() {
        "agent" => Some("Bot".to_owned()),
        "human" => {
            let person = message.sent_by.as_ref().or(message.actor.as_ref());
            Some(person.cloned().unwrap_or_else(|| "Colleague".to_owned()))
        }
        "native" => Some("Instagram app".to_owned()),
        "automation" => Some("Instagram's automatic reply".to_owned()),
        _ => None,
    }
}

/// Links of attachments; never loaded by the page.
fn media(message: &MessageView) -> Vec<&str> {
    let attachments = message.attachments.as_array().into_iter().flatten();
    attachments.filter_map(|one| one["url"].as_str()).filter(|url| url.starts_with("https://")).collect()
}

fn ticks(message: &MessageView) -> Markup {
    let (sign, words) = match message.status.as_str() {
        "sent" if message.read_at.is_some() => ("✓✓", "Read"),
        "sent" => ("✓", words::status("sent")),
        "queued" | "sending" => ("◷", words::status(&message.status)),
        "unknown" => ("?", "Unknown"),
        _ => ("✕", words::status(&message.status)),
    };
    html! { span class="ticks" role="img" aria-label=(words) title=(words) { (sign) } }
}

/// What is wrong with a message, in words.
fn trouble(message: &MessageView) -> Markup {
    let failure = message.error.as_ref().map(|error| words::failure(&error.class));
    html! {
        @match message.status.as_str() {
            "unknown" => p class="trouble amber" { (words::status("unknown")) },
            "failed" => p class="trouble" { "Not sent. " (failure.unwrap_or_default()) },
            "suppressed" | "cancelled" => p class="trouble held" {
                "Not sent: " (message.reason.as_deref().map_or("held back", words::reason))
            },
            "received" => @if let Some(reason) = message.reason.as_deref().filter(|reason| *reason != "unsent") {
                p class="trouble held" { "Not answered: " (words::reason(reason)) }
            } @else if let Some(failure) = failure {
                p class="trouble" { "Not answered. " (failure) }
            },
            _ => {},
        }
    }
}

/// A line that says who answers from here on, as a fragment.
pub fn changed(id: Uuid, at: &str, is_bots: bool, by: &str) -> Markup {
    html! {
        li class="line" id={ "e-" (id) } data-into="messages" data-at=(at) {
            @if is_bots { "The bot answers again" } @else { "The bot is silent" }
            " · " (by) " · " (moment(at))
        }
    }
}

/// Whether the bot is asked now, as a fragment.
pub fn thinking(chat: Uuid, is_thinking: bool) -> Markup {
    html! {
        p class="thinking" id="thinking" data-chat=(chat) hidden[!is_thinking] {
            (words::THINKING) span aria-hidden="true" { span { } span { } span { } }
        }
    }
}

fn composer(person: &Person, chat: &ChatView) -> Markup {
    let can = &chat.can_send;
    html! {
        form class="composer" id="composer" method="post" action={ (BASE) "/chats/" (chat.chat_id) "/send" }
            data-chat=(chat.chat_id) data-author=(person.name) data-open=(can.allowed) {
            @if !person.may(Permission::Send) {
                p class="locked" { "Your role (" (person.role.as_str()) ") does not include writing to customers." }
            } @else if !can.allowed {
                p class="locked" { (words::locked(can.reason)) }
            } @else {
                input type="hidden" name="csrf" value=(person.csrf);
                textarea id="text" name="text" rows="1" required placeholder=(words::WRITE) aria-label=(words::WRITE)
                    aria-describedby="hint" {}
                button id="send" { (words::SEND) }
                p id="hint" {
                    span { (words::SILENCES) }
                    @if let Some(until) = &can.until { span { " Window: " time datetime=(until) data-left { (until.get(11..16).unwrap_or(until)) } } }
                    output id="bytes" for="text" {}
                }
            }
        }
    }
}
