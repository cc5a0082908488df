//! What is known of the customer, and what colleagues tell one another.

use crate::inbox::{avatar, moment, name_of};
use crate::page::{curl, fill, of_agent};
use crate::words::{self, panel as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ChatView, NoteView};
use maud::{Markup, html};

/// The customer beside a conversation.
pub struct Panel<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The chat.
    pub chat: &'a ChatView,
    /// Whether the chat is assigned to them.
    pub is_mine: bool,
    /// The newest notes.
    pub notes: &'a [NoteView],
    /// Their chats with other accounts.
    pub others: &'a [ChatView],
}

/// The panel, as a fragment.
pub fn panel(all: &Panel<'_>) -> Markup {
    let Panel { person, chat, .. } = all;
    let may_change = person.may(Permission::TakeOver);
    html! {
        aside class="panel" id="panel" data-chat=(chat.chat_id) aria-label=(text::CUSTOMER) {
            button class="quiet close" type="button" data-panel aria-label=(words::CLOSE) { "✕" }
            (avatar(name_of(chat), chat))
            h2 { (name_of(chat)) }
            dl {
                dt { (text::HANDLE) }
                dd { @match &chat.username { Some(name) => { "@" (name) }, None => (text::NO_HANDLE) } }
                dt { (text::WINDOW) }
                dd { @match &chat.window_expires_at {
                    Some(until) if chat.window == "open" => {
                        (fill(text::WINDOW_OPEN, &html! { time datetime=(until) data-left { (until) } }))
                    },
                    _ => (text::WINDOW_CLOSED),
                } }
                dt { (text::ASSIGNED_TO) } dd { (assignee(all, may_change)) }
                dt { (text::TAGS) } dd { (tags(all, may_change)) }
                dt { (text::SNOOZED) } dd { (snooze(all, may_change)) }
                @for (name, value) in chat.metadata.as_object().into_iter().flatten() {
                    dt { (name.replace('_', " ")) }
                    dd class="code" { (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) }
                }
                dt { (text::SINCE) }
                dd {
                    time datetime=(chat.created_at) data-day {
                        (chat.created_at.get(..10).unwrap_or_default())
                    }
                }
                @if !all.others.is_empty() {
                    dt { (text::OTHER_CHATS) }
                    @for other in all.others {
                        dd {
                            a href={ (BASE) "/inbox?chat=" (other.chat_id) } {
                                "@" (other.account_username.as_deref().unwrap_or_default())
                            }
                            @if let Some(at) = &other.last_message_at { " · " time datetime=(at) data-ago { (at) } }
                        }
                    }
                }
            }
            (notes(all, may_change))
            (curl(person, &of_agent(&chat.agent_id, &format!("chats/{}", chat.chat_id))))
        }
    }
}

fn assignee(all: &Panel<'_>, may_change: bool) -> Markup {
    let who = all.chat.assignee.as_deref().map(|who| who.strip_prefix("console:").unwrap_or(who));
    html! {
        @if all.is_mine { (text::YOU) } @else { (who.unwrap_or(text::NOBODY)) }
        @if may_change {
            " "
            @if all.is_mine { (button(all, ("assignee", ""), text::UNASSIGN)) }
            @else { (button(all, ("assignee", "me"), text::ASSIGN_TO_ME)) }
        }
    }
}

fn tags(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        @if all.chat.tags.is_empty() && !may_change { (text::NO_TAGS) }
        @for tag in &all.chat.tags {
            span class="pill tag" {
                (tag)
                @if may_change { (button(all, ("untag", tag), "✕")) }
            }
        }
        @if may_change {
            form method="post" action=(address(all, "triage")) data-post class="inline" {
                input type="hidden" name="csrf" value=(all.person.csrf);
                input name="tag" placeholder=(text::ADD_TAG) aria-label=(text::ADD_TAG) required
                    maxlength="50" autocomplete="off";
            }
        }
    }
}

fn snooze(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        @match &all.chat.snoozed_until {
            Some(until) => {
                (fill(text::SNOOZED_UNTIL, &html! { time datetime=(until) data-ago { (until) } }))
                @if may_change { " " (button(all, ("snooze", "0"), text::END_SNOOZE)) }
            },
            None if may_change => @for (hours, label) in text::SNOOZES {
                (button(all, ("snooze", hours), label))
            },
            None => (text::NOT_SNOOZED),
        }
    }
}

fn notes(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        h3 { (text::NOTES) }
        @if may_change {
            form class="note" method="post" action=(address(all, "notes")) data-post {
                input type="hidden" name="csrf" value=(all.person.csrf);
                textarea name="text" rows="2" required maxlength="4000" placeholder=(text::NOTE_HINT)
                    aria-label=(text::NOTE_LABEL) {}
                button { (text::ADD_NOTE) }
            }
        }
        @if all.notes.is_empty() { p class="quiet" { (text::NO_NOTES) } }
        ol class="notes" {
            @for note in all.notes {
                li {
                    p { (note.text) }
                    p class="quiet" {
                        (note.author) " · " (moment(&note.created_at))
                        @if may_change { (delete(all, note)) }
                    }
                }
            }
        }
    }
}

fn delete(all: &Panel<'_>, note: &NoteView) -> Markup {
    let action = address(all, &format!("notes/{}/delete", note.note_id));
    html! {
        form class="inline" method="post" action=(action) data-post {
            input type="hidden" name="csrf" value=(all.person.csrf);
            button class="quiet" aria-label=(text::delete_note_of(&note.author)) { (text::DELETE) }
        }
    }
}

fn address(all: &Panel<'_>, verb: &str) -> String {
    format!("{BASE}/chats/{}/{verb}", all.chat.chat_id)
}

/// A form of one button that changes one thing.
fn button(all: &Panel<'_>, (name, value): (&str, &str), label: &str) -> Markup {
    let words = (label == "✕").then(|| text::remove_tag(value));
    html! {
        form class="inline" method="post" action=(address(all, "triage")) data-post {
            input type="hidden" name="csrf" value=(all.person.csrf);
            input type="hidden" name=(name) value=(value);
            button class="small" aria-label=[words] { (label) }
        }
    }
}
