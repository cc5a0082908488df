//! A conversation: its messages, who answers, and the composer.

use crate::content::{content, message};
use crate::inbox::{avatar, moment, name_of};
use crate::page::fill;
use crate::words::{self, thread as text};
use crate::{BASE, Person, failed};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ChatView, DeadLetterView, MessageView, TemplateView};
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
    /// Whether the message that was asked for is too far back to be shown.
    pub is_too_far: bool,
    /// Where the list of conversations is, for narrow windows.
    pub back: String,
    /// The saved messages of the subaccount.
    pub templates: &'a [TemplateView],
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
        /// Why, as the activity has it.
        reason: Option<String>,
    },
}

/// The panes of a conversation: what was said, and what is known of the customer.
pub fn panes(all: &Thread<'_>) -> Markup {
    html! { (thread(all)) (all.panel) }
}

fn thread(thread: &Thread<'_>) -> Markup {
    let Thread { person, chat, entries, .. } = thread;
    html! {
        @let writes = person.may(Permission::Send) && chat.can_send.allowed;
        div class="thread" id="thread" data-chat=(chat.chat_id) data-writes[writes] {
            (head(person, chat, &thread.back))
            div class="scroll" id="scroll" tabindex="0" aria-label=(text::MESSAGES) {
                (link_to_older(thread.older.as_deref()))
                @if thread.is_too_far { p class="line" role="status" { (text::TOO_FAR) } }
                ol id="messages" aria-live="polite" { (rest(person, entries)) }
                (thinking(chat.chat_id, thread.is_thinking))
            }
            button id="newer" class="newer" type="button" hidden data-one=(text::ONE_NEW_MESSAGE)
                data-several=(text::SEVERAL_NEW_MESSAGES) { (text::NEW_MESSAGES) }
            (composer(person, chat, thread.templates))
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
            a class="older" id="older" href=(address) data-get={ (address) "&part=older" } { (text::OLDER) }
        }
    }
}

/// Entries. The script puts a line above each new day, as days begin where the reader is.
fn rest(person: &Person, entries: &[Entry<'_>]) -> Markup {
    html! {
        @for entry in entries {
            @match entry {
                Entry::Message(message) => (bubble(message)),
                Entry::Failed(letter) => (failed::letter(person, letter, None)),
                Entry::Changed { id, at, is_bots, by, reason } => (changed(*id, at, *is_bots, (by, reason.as_deref()))),
            }
        }
    }
}

/// Who has the conversation, and what can be done about it, as a fragment.
pub fn head(person: &Person, chat: &ChatView, back: &str) -> Markup {
    let name = name_of(chat);
    html! {
        div class="head" id="head" data-chat=(chat.chat_id) data-open=(chat.can_send.allowed)
            data-until=[chat.can_send.until.as_deref()] {
            a class="back" href=(back) aria-label=(text::BACK) { "‹" }
            (avatar(name, chat))
            div class="whom" {
                h1 { (name) }
                p {
                    @if let Some(username) = &chat.username { "@" (username) }
                    @if let Some(account) = &chat.account_username {
                        span class="to" { " " (text::to_account(account)) }
                    }
                }
            }
            button class="quiet info" type="button" data-panel aria-label=(text::ABOUT_CUSTOMER)
                title=(text::ABOUT_CUSTOMER) { "i" }
            (mode(person, chat))
        }
    }
}

/// Who answers, and a button for each way to change it.
fn mode(person: &Person, chat: &ChatView) -> Markup {
    let may_change = person.may(Permission::TakeOver);
    let act = |verb: &str| format!("{BASE}/chats/{}/{verb}", chat.chat_id);
    html! {
        div class="mode" {
            @if chat.mode == "bot" {
                span class="pill bot" { (text::BOT_ANSWERS) }
                @if may_change {
                    (taking(person, chat, Some(12), &html! { button class="take" title=(text::take_over_hint(Some(12))) { (text::take_over(Some(12))) } }))
                    (spans(person, chat, [Some(1), None], text::take_over))
                }
            } @else {
                span class={ "pill " (chat.mode) } {
                    @if chat.mode == "human" { (text::HUMAN_ANSWERS) } @else { (text::PAUSED) }
                    @match &chat.resume_at {
                        Some(until) => { " · " (time_left(until)) },
                        None => { " · " (text::UNTIL_GIVEN_BACK) },
                    }
                }
                @if may_change {
                    form method="post" action=(act("release")) data-post {
                        input type="hidden" name="csrf" value=(person.csrf);
                        button class="take" title=(text::GIVE_BACK_HINT) {
                            (text::GIVE_BACK) span class="long" { " " (text::GIVE_BACK_TO_BOT) }
                        }
                    }
                    @let has_it = chat.mode == "human" && chat.flag.is_none();
                    (spans(person, chat, [Some(1), Some(12), None], if has_it { text::keep } else { text::take_over }))
                }
            }
        }
    }
}

/// A form that takes the conversation over for so many hours, or until it is given back.
fn taking(person: &Person, chat: &ChatView, hours: Option<u32>, button: &Markup) -> Markup {
    html! {
        form method="post" action={ (BASE) "/chats/" (chat.chat_id) "/takeover" } data-post {
            input type="hidden" name="csrf" value=(person.csrf);
            @match hours {
                Some(hours) => { input type="hidden" name="hours" value=(hours); },
                None => { input type="hidden" name="until_released" value="true"; },
            }
            (button)
        }
    }
}

/// A menu of how long somebody has the conversation.
fn spans<const N: usize>(
    person: &Person,
    chat: &ChatView,
    spans: [Option<u32>; N],
    name: fn(Option<u32>) -> String,
) -> Markup {
    html! {
        details class="menu" {
            summary aria-label=(text::HOW_LONG) title=(text::HOW_LONG) { "▾" }
            div {
                @for hours in spans {
                    (taking(person, chat, hours, &html! { button title=(text::take_over_hint(hours)) { (name(hours)) } }))
                }
            }
        }
    }
}

/// A time in the future; a script shows how much is left until then.
fn time_left(until: &str) -> Markup {
    html! { time datetime=(until) data-left { (until.get(11..16).unwrap_or(until)) } }
}

/// A message, as a fragment.
pub fn bubble(message: &MessageView) -> Markup {
    let side = match message.author.as_str() {
        "user" => "customer",
        "agent" | "rule" | "broadcast" => "bot",
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
                (content(message))
                @for by in ["reaction", "ourReaction"] {
                    @if let Some(emoji) = message.metadata[by].as_str() { span class="reaction" { (words::emoji(emoji)) } }
                }
                (meta(message))
                (trouble(message))
                (tools(message))
            }
        }
    }
}

/// What a person can do with a message: reply to it, or react. It takes a script.
fn tools(message: &MessageView) -> Markup {
    let is_theirs = message.author == "user" && message.mid.is_some() && message.kind != "unsent";
    let words = message.text.clone().unwrap_or_else(|| words::kind(&message.kind));
    html! {
        @if is_theirs {
            span class="tools" {
                button type="button" data-reply=(message.message_id) data-words=(words) title=(text::REPLY_TO_THIS)
                    aria-label=(text::REPLY_TO_THIS) { "↩" }
                form method="post" action={ (BASE) "/chats/" (message.chat_id) "/react" } data-post {
                    input type="hidden" name="message" value=(message.message_id);
                    input type="hidden" name="reaction" value="love";
                    button title=(text::REACT) aria-label=(text::REACT) { "❤" }
                }
            }
        }
    }
}

/// When a message was written, and how it went.
fn meta(message: &MessageView) -> Markup {
    let is_edited = message.metadata["edits"].as_i64().is_some_and(|edits| edits > 0);
    html! {
        span class="meta" {
            @if is_edited { (text::EDITED) " · " }
            a href={ (BASE) "/chats/" (message.chat_id) "/trace?message=" (message.message_id) } data-show
                title=(text::DELIVERY_DETAILS) { (moment(&message.at)) }
            @if message.direction == "outbound" { (ticks(message)) }
        }
    }
}

/// What the message replies to. Stories are linked, never shown: they end after a day, and are not ours to
/// keep.
fn quote(message: &MessageView) -> Markup {
    let story = &message.reply_to["story"];
    let url = story["url"].as_str().filter(|url| url.starts_with("https://"));
    html! {
        @if let Some(url) = url {
            a class="quote" href=(url) rel="noreferrer noopener" target="_blank" { (text::REPLY_TO_STORY) }
        } @else if !story.is_null() {
            span class="quote" { (text::REPLY_TO_STORY) }
        } @else if !message.reply_to.is_null() {
            span class="quote" { (text::REPLY_TO_MESSAGE) }
        }
        @if matches!(message.kind.as_str(), "postback" | "quick_reply") {
            span class="quote" { (text::TAPPED) }
        }
    }
}

fn author(message: &MessageView) -> Option<String> {
    match message.author.as_str() {
        "agent" => Some(text::BY_BOT.to_owned()),
        "human" => {
            let person = message.sent_by.as_ref().or(message.actor.as_ref());
            Some(person.cloned().unwrap_or_else(|| text::BY_COLLEAGUE.to_owned()))
        }
        "native" => Some(text::BY_APP.to_owned()),
        "automation" => Some(text::BY_AUTOMATION.to_owned()),
        "rule" => Some(text::BY_RULE.to_owned()),
        "broadcast" => Some(text::BY_BROADCAST.to_owned()),
        _ => None,
    }
}

fn ticks(message: &MessageView) -> Markup {
    let (sign, words) = match message.status.as_str() {
        "sent" if message.read_at.is_some() => ("✓✓", text::READ),
        "sent" => ("✓", text::status("sent")),
        "queued" | "sending" => ("◷", text::status(&message.status)),
        "unknown" => ("?", text::UNKNOWN),
        _ => ("✕", text::status(&message.status)),
    };
    html! { span class="ticks" role="img" aria-label=(words) title=(words) { (sign) } }
}

/// What is wrong with a message, in words.
fn trouble(message: &MessageView) -> Markup {
    let failure = message.error.as_ref().map(|error| {
        format!("{} {}", words::failed::failure(&error.class), words::failed::advice(&error.class))
    });
    let reason = message.reason.as_deref().filter(|reason| !matches!(*reason, "unsent" | "rule"));
    html! {
        @match message.status.as_str() {
            "unknown" => p class="trouble amber" { (text::status("unknown")) },
            "failed" => p class="trouble" { (text::not_sent(&failure.unwrap_or_default())) },
            "suppressed" | "cancelled" => p class="trouble held" {
                (text::not_sent_because(message.reason.as_deref().map_or(text::HELD_BACK, text::reason)))
            },
            "received" => @if let Some(reason) = reason {
                p class="trouble held" { (text::not_answered_because(text::reason(reason))) }
            } @else if let Some(failure) = failure {
                p class="trouble" { (text::not_answered(&failure)) }
            },
            _ => {},
        }
    }
}

/// A line that says who answers from here on, as a fragment.
pub fn changed(id: Uuid, at: &str, is_bots: bool, (by, reason): (&str, Option<&str>)) -> Markup {
    html! {
        li class="line" id={ "e-" (id) } data-into="messages" data-at=(at) {
            @if is_bots { (text::BOT_ANSWERS_AGAIN) } @else { (text::BOT_IS_SILENT) }
            " · " (text::actor(by)) " · " (moment(at))
            @if let Some(reason) = reason.filter(|_| !is_bots).and_then(text::silent_because) { br; (reason) }
        }
    }
}

/// Whether the bot is asked now, as a fragment.
pub fn thinking(chat: Uuid, is_thinking: bool) -> Markup {
    html! {
        p class="thinking" id="thinking" data-chat=(chat) hidden[!is_thinking] {
            (text::THINKING) span aria-hidden="true" { span { } span { } span { } }
        }
    }
}

/// The saved messages: one click sends one. Their variables are the customer's.
fn picker(person: &Person, chat: &ChatView, templates: &[TemplateView]) -> Markup {
    html! {
        details class="templates" {
            summary { (text::TEMPLATES) }
            ul {
                @for template in templates {
                    li {
                        form method="post" action={ (BASE) "/chats/" (chat.chat_id) "/send" } data-post
                            data-confirm=(text::send_template(&template.name)) {
                            input type="hidden" name="csrf" value=(person.csrf);
                            input type="hidden" name="template" value=(template.template_id);
                            button class="small" { (template.name) }
                        }
                        (message(&template.message))
                    }
                }
            }
        }
    }
}

/// Why a human cannot write, and what helps.
fn locked(chat: &ChatView) -> Markup {
    match (chat.can_send.reason, &chat.window_expires_at) {
        (Some("not_connected"), _) => {
            fill(text::NOT_CONNECTED, &html! { a href={ (BASE) "/accounts" } { (text::CONNECT_AGAIN) } })
        }
        (_, Some(at)) => fill(text::WINDOW_CLOSED, &html! { time datetime=(at) data-ago { (at) } }),
        _ => html! { (text::WINDOW_NEVER_OPEN) },
    }
}

fn composer(person: &Person, chat: &ChatView, templates: &[TemplateView]) -> Markup {
    let can = &chat.can_send;
    html! {
           @if can.allowed && person.may(Permission::Send) && !templates.is_empty() {
               (picker(person, chat, templates))
           }
           form class="composer" id="composer" method="post" action={ (BASE) "/chats/" (chat.chat_id) "/send" }
               data-chat=(chat.chat_id) data-author=(person.name) data-open=(can.allowed)
               data-bytes=(text::BYTES) data-try-again=(text::TRY_AGAIN) data-discard=(text::DISCARD)
               data-maybe-sent=(text::MAYBE_SENT) {
               @if !person.may(Permission::Send) {
                   p class="locked" { (text::role_cannot_write(person.role.as_str())) }
               } @else if !can.allowed {
                   p class="locked" { (locked(chat)) }
               } @else {
    input type="hidden" name="csrf" value=(person.csrf);
                   p id="replying" hidden {
                       span {}
                       button type="button" class="quiet" aria-label=(text::NO_REPLY) { "✕" }
                   }
                   label class="attach" title=(text::ATTACH) {
                       span aria-hidden="true" { "+" }
                       input id="file" type="file" aria-label=(text::ATTACH) data-confirm=(text::ATTACH_CONFIRM)
                           accept="image/png,image/jpeg,image/gif,video/mp4,video/quicktime,video/webm,audio/aac,audio/mp4,audio/wav,application/pdf";
                   }
                   textarea id="text" name="text" rows="1" required placeholder=(text::WRITE)
                       aria-label=(text::WRITE) aria-describedby="hint" {}
                   button id="send" { (text::SEND) }
                   p id="hint" {
                       span class="silences" { (text::SILENCES) }
                       @if let Some(until) = &can.until { span { " " (fill(text::WINDOW, &time_left(until))) } }
                       output id="bytes" for="text" {}
                   }
               }
           }
       }
}
