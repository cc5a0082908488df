//! What is known of the customer, and what colleagues tell one another.

use crate::inbox::{Place, avatar, moment, name_of};
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
    /// Whether customers may have chats with other accounts.
    pub has_other_accounts: bool,
}

/// The panel, as a fragment.
pub fn panel(all: &Panel<'_>) -> Markup {
    let Panel { person, chat, .. } = all;
    let may_change = person.may(Permission::TakeOver);
    html! {
        aside class="panel" id="panel" data-chat=(chat.chat_id) aria-label="Customer" {
            (avatar(name_of(chat), &chat.instagram_user_id))
            h2 { (name_of(chat)) }
            dl {
                dt { "Handle" } dd { @match &chat.username { Some(name) => { "@" (name) }, None => "unknown" } }
                dt { "Window for replies" }
                dd { @match &chat.window_expires_at {
                    Some(until) if chat.window == "open" => { "open, " time datetime=(until) data-left { (until) } },
                    _ => "closed",
                } }
                dt { "Assigned to" } dd { (assignee(all, may_change)) }
                dt { "Tags" } dd { (tags(all, may_change)) }
                dt { "Snoozed" } dd { (snooze(all, may_change)) }
                @for (name, value) in chat.metadata.as_object().into_iter().flatten() {
                    dt { (name.replace('_', " ")) } dd class="code" { (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) }
                }
                dt { "Since" } dd { time datetime=(chat.created_at) data-day { (chat.created_at.get(..10).unwrap_or_default()) } }
                @if let (Some(username), true) = (&chat.username, all.has_other_accounts) {
                    dt { "Other chats" }
                    dd { a href=(Place { folder: "all".to_owned(), q: username.clone() }.address(None)) { "Look in all accounts" } }
                }
            }
            (notes(all, may_change))
        }
    }
}

fn assignee(all: &Panel<'_>, may_change: bool) -> Markup {
    let who = all.chat.assignee.as_deref().map(|who| who.strip_prefix("console:").unwrap_or(who));
    html! {
        @if all.is_mine { "you" } @else { (who.unwrap_or("nobody")) }
        @if may_change {
            " "
            @if all.is_mine { (button(all, ("assignee", ""), "Unassign")) }
            @else { (button(all, ("assignee", "me"), "Assign to me")) }
        }
    }
}

fn tags(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        @if all.chat.tags.is_empty() && !may_change { "none" }
        @for tag in &all.chat.tags {
            span class="pill tag" {
                (tag)
                @if may_change { (button(all, ("untag", tag), "✕")) }
            }
        }
        @if may_change {
            form method="post" action=(address(all, "triage")) data-post class="inline" {
                input type="hidden" name="csrf" value=(all.person.csrf);
                input name="tag" placeholder="Add a tag" aria-label="Add a tag" required maxlength="50" autocomplete="off";
            }
        }
    }
}

fn snooze(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        @match &all.chat.snoozed_until {
            Some(until) => {
                "until " time datetime=(until) data-ago { (until) }
                @if may_change { " " (button(all, ("snooze", "0"), "End")) }
            },
            None if may_change => @for (hours, label) in [("1", "1 h"), ("4", "4 h"), ("24", "1 day")] { (button(all, ("snooze", hours), label)) },
            None => "no",
        }
    }
}

fn notes(all: &Panel<'_>, may_change: bool) -> Markup {
    html! {
        h3 { "Notes" }
        @if may_change {
            form class="note" method="post" action=(address(all, "notes")) data-post {
                input type="hidden" name="csrf" value=(all.person.csrf);
                textarea name="text" rows="2" required maxlength="4000" placeholder="For colleagues; the customer never sees it" aria-label="A note for colleagues" {}
                button { "Add note" }
            }
        }
        @if all.notes.is_empty() { p class="quiet" { "Nobody has left a note." } }
        ol class="notes" {
            @for note in all.notes {
                li {
                    p { (note.text) }
                    p class="quiet" {
                        (note.author) " · " (moment(&note.created_at))
                        @if may_change {
                            form class="inline" method="post" action=(address(all, &format!("notes/{}/delete", note.note_id))) data-post {
                                input type="hidden" name="csrf" value=(all.person.csrf);
                                button class="quiet" aria-label={ "Delete the note of " (note.author) } { "Delete" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn address(all: &Panel<'_>, verb: &str) -> String {
    format!("{BASE}/chats/{}/{verb}", all.chat.chat_id)
}

/// A form of one button that changes one thing.
fn button(all: &Panel<'_>, (name, value): (&str, &str), label: &str) -> Markup {
    let words = (label == "✕").then(|| format!("Remove the tag {value}"));
    html! {
        form class="inline" method="post" action=(address(all, "triage")) data-post {
            input type="hidden" name="csrf" value=(all.person.csrf);
            input type="hidden" name=(name) value=(value);
            button class="small" aria-label=[words] { (label) }
        }
    }
}
