//! The inbox: folders, the list of a folder, and beside them a conversation.

use crate::page::curl;
use crate::words::{self, inbox as text};
use crate::{BASE, Person};
use dmrelay_views::{ChatView, MessageView};
use maud::{Markup, html};
use uuid::Uuid;

/// Which part of the inbox is shown: everything in its address but the conversation.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The word of the folder.
    pub folder: String,
    /// What is searched for.
    pub q: String,
    /// Whether there are several accounts, so that rows say whose they are.
    pub has_accounts: bool,
}

/// The page of an inbox.
pub struct Inbox<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// Where.
    pub place: &'a Place,
    /// The chats of the folder.
    pub chats: &'a [ChatView],
    /// Where the next page of the list begins.
    pub next: Option<String>,
    /// How many chats folders have; a folder without an entry shows none.
    pub counts: &'a [(&'static str, String)],
    /// The conversation that is open.
    pub selected: Option<Selected>,
    /// What stands at the right: the customer's phone, in the demo.
    pub aside: Option<Markup>,
}

/// The conversation that is open.
pub struct Selected {
    /// Its chat.
    pub chat: Uuid,
    /// Its panes.
    pub panes: Markup,
}

/// How a count is shown: none if it is zero, and with a plus where counting stopped.
pub fn count_of(total: u64, is_exact: bool) -> String {
    match total {
        0 => String::new(),
        total if is_exact => total.to_string(),
        total => format!("{total}+"),
    }
}

impl Place {
    /// The same list over REST.
    fn call(&self) -> String {
        let wanted = match self.folder.as_str() {
            "all" => String::new(),
            mode @ ("bot" | "human") => format!("?mode={mode}"),
            "mine" => "?assignee=me".to_owned(),
            "unanswered" => "?folder=unanswered&sort=oldest".to_owned(),
            "window_closing" => "?folder=window_closing&sort=window".to_owned(),
            folder => format!("?folder={folder}"),
        };
        let sign = if wanted.is_empty() { '?' } else { '&' };
        let q = if self.q.is_empty() { String::new() } else { format!("{sign}q={}", self.escaped()) };
        format!("chats{wanted}{q}")
    }

    /// What is searched for, as an address wants it.
    fn escaped(&self) -> String {
        let escape = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        self.q.bytes().map(escape).collect()
    }

    /// The address of a conversation here, or of the list.
    pub fn address(&self, chat: Option<Uuid>) -> String {
        let mut address = format!("{BASE}/inbox?folder={}", self.folder);
        if !self.q.is_empty() {
            address.push_str("&q=");
            address.push_str(&self.escaped());
        }
        if let Some(chat) = chat {
            address.push_str("&chat=");
            address.push_str(&chat.to_string());
        }
        address
    }
}

impl Inbox<'_> {
    /// The panes of the page.
    pub fn render(&self) -> Markup {
        let selected = self.selected.as_ref().map(|selected| selected.chat);
        html! {
            div class={ "panes" @if self.aside.is_some() { " with-phone" } } id="inbox"
                data-open=[selected.is_some().then_some("")] data-folder=(self.place.folder)
                data-q=(self.place.q) data-chat=[selected] {
                nav class="folders" aria-label=(text::FOLDERS_LABEL) {
                    (folders(self.place, self.counts))
                    (curl(self.person, &self.place.call()))
                }
                section class="list" aria-label=(text::CONVERSATIONS) {
                    form class="search" role="search" action={ (BASE) "/inbox" } {
                        input type="hidden" name="folder" value=(self.place.folder);
                        input id="q" type="search" name="q" value=(self.place.q) placeholder=(text::SEARCH)
                            aria-label=(text::SEARCH) maxlength="200";
                    }
                    (list(self.place, self.chats, self.next.as_deref(), selected))
                }
                main id="main" class="conversation" {
                    @if selected.is_none() { h1 class="unseen" { (words::INBOX) } }
                    @match &self.selected {
                        Some(selected) => (selected.panes),
                        None => div class="nothing" {
                            p class="big" { (text::CHOOSE) }
                            p { (text::CHOOSE_HINT) }
                        },
                    }
                }
                @if let Some(aside) = &self.aside { (aside) }
            }
        }
    }
}

/// The folders with their counts, as a fragment.
pub fn folders(place: &Place, counts: &[(&'static str, String)]) -> Markup {
    html! {
        ul id="folders" {
            @for (word, name, _) in text::FOLDERS {
                li {
                    a href={ (BASE) "/inbox?folder=" (word) }
                        aria-current=[(place.folder == word).then_some("page")] {
                        span { (name) }
                        @let count = counts.iter().find(|(of, count)| *of == word && !count.is_empty());
                        @if let Some((_, count)) = count {
                            span class={ "count " (word) } { (count) }
                        } @else if counts.is_empty() {
                            span class="skeleton" {}
                        }
                    }
                }
            }
        }
    }
}

/// The list of a folder.
pub fn list(place: &Place, chats: &[ChatView], next: Option<&str>, selected: Option<Uuid>) -> Markup {
    let empty =
        text::FOLDERS.iter().find(|(word, _, _)| *word == place.folder).map_or("", |(_, _, empty)| empty);
    html! {
        div id="chats" class="rows" {
            (more(place, chats, next, selected))
            @if chats.is_empty() {
                div class="empty" {
                    p { @if place.q.is_empty() { (empty) } @else { (text::nothing_found(&place.q)) } }
                    @if place.folder != "all" || !place.q.is_empty() {
                        p { a href={ (BASE) "/inbox" } { (text::SEE_ALL) } }
                    } @else {
                        p { a href={ (BASE) "/accounts" } { (text::SEE_ACCOUNTS) } }
                    }
                }
            }
        }
    }
}

/// A further page of the list.
pub fn more(place: &Place, chats: &[ChatView], next: Option<&str>, selected: Option<Uuid>) -> Markup {
    html! {
        @for chat in chats { (row(place, chat, selected == Some(chat.chat_id))) }
        @if let Some(next) = next {
            a class="more" id="more" href={ (place.address(selected)) "&cursor=" (next) }
                data-get={ (place.address(selected)) "&part=more&cursor=" (next) } { (words::MORE) }
        }
    }
}

/// One chat of the list, as a fragment.
pub fn row(place: &Place, chat: &ChatView, is_selected: bool) -> Markup {
    let name = name_of(chat);
    // Only the list of everything can tell where a new row belongs.
    let goes_first = place.folder == "all" && place.q.is_empty();
    html! {
        a class="row" id={ "chat-" (chat.chat_id) } href=(place.address(Some(chat.chat_id)))
            aria-current=[is_selected.then_some("true")]
            data-at=[chat.last_message_at.as_deref()]
            data-into=[goes_first.then_some("chats")] data-place=[goes_first.then_some("first")] {
            (avatar(name, chat))
            span class="who" { (name) }
            @if let Some(at) = &chat.last_message_at { (moment(at)) }
            span class="preview" { @if let Some(last) = &chat.last_message { (preview(last)) } }
            span class="marks" {
                @if let Some(reason) = chat.needs_human.reason.as_deref() {
                    span class={ "pill need " (reason) } { (text::needs_human(reason)) }
                } @else if chat.mode == "human" {
                    span class="pill human" { (text::TAKEN_OVER) }
                }
                @if let (Some(account), true) = (&chat.account_username, place.has_accounts) {
                    span class="pill" { "@" (account) }
                }
                @for tag in &chat.tags { span class="pill tag" { (tag) } }
                @if chat.unread_count > 0 {
                    span class="unread" aria-label=(text::unread(chat.unread_count)) { (chat.unread_count) }
                }
            }
        }
    }
}

/// How a customer is called.
pub(crate) fn name_of(chat: &ChatView) -> &str {
    let named = [chat.name.as_deref(), chat.username.as_deref()].into_iter().flatten();
    named.map(str::trim).find(|name| !name.is_empty()).unwrap_or(text::NAMELESS)
}

/// The customer's picture, or else a circle with the first letter of the name. The page shows our copy: it loads nothing from elsewhere.
pub(crate) fn avatar(name: &str, chat: &ChatView) -> Markup {
    let id = &chat.instagram_user_id;
    let letter = name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?').to_uppercase().to_string();
    let tint = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 6;
    html! {
        span class={ "avatar tint-" (tint) } aria-hidden="true" {
            (letter)
            @if let Some(id) = chat.picture_media_id {
                img src={ (BASE) "/media/" (id) "?thumbnail=true" } alt="" loading="lazy";
            }
        }
    }
}

/// A time, as `2026-11-26T12:30:00.000Z`; a script shows it in the reader's time zone.
pub(crate) fn moment(at: &str) -> Markup {
    html! { time datetime=(at) { (at.get(11..16).unwrap_or(at)) } }
}

fn preview(message: &MessageView) -> Markup {
    let author = match message.author.as_str() {
        "agent" | "rule" => text::BY_BOT,
        "broadcast" => text::BY_BROADCAST,
        "human" => text::BY_US,
        "native" | "automation" => text::BY_APP,
        _ => "",
    };
    html! {
        @if !author.is_empty() { span class="by" { (author) } }
        @match &message.text {
            Some(text) => (text.chars().take(120).collect::<String>()),
            None => em { (words::kind(&message.kind)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_folder_and_search() {
        let place = Place { folder: "failed".to_owned(), q: "Ada & <b>".to_owned(), ..Place::default() };
        let chat = Uuid::nil();
        assert_eq!(
            place.address(Some(chat)),
            format!("/console/inbox?folder=failed&q=Ada%20%26%20%3Cb%3E&chat={chat}")
        );
    }

    #[test]
    fn counts_say_where_counting_stopped() {
        assert_eq!((count_of(0, true).as_str(), count_of(7, true).as_str()), ("", "7"));
        assert_eq!(count_of(1_000, false), "1000+");
    }
}
