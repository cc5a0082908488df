//! What was done and what happened, the newest first.

use crate::page::curl;
use crate::words::{self, EVENTS, activity as text};
use crate::{BASE, Person};
use dmrelay_views::ActivityView;
use maud::{Markup, html};
use serde_json::Value;
use std::collections::HashMap;

/// Details of an entry that are shown.
const DETAILS: usize = 4;

/// The page.
pub struct Activities<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The word of the group that is shown; empty for all.
    pub group: &'a str,
    /// The entries, the newest first.
    pub entries: &'a [ActivityView],
    /// The kinds of the group, as the API wants them; empty for all.
    pub kinds: &'a str,
    /// The customers' names, by the ids of their chats.
    pub names: &'a HashMap<String, String>,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Whether this is the first page, which is kept live.
    pub is_first: bool,
}

/// The page's panes.
pub fn activities(page: &Activities<'_>) -> Markup {
    html! {
        main id="main" class="sheet" {
            header class="top" {
                h1 { (words::ACTIVITY) }
                nav class="ranges" aria-label=(text::GROUPS) {
                    @for (word, name) in words::ACTIVITY_GROUPS {
                        a href={ (BASE) "/activity?group=" (word) }
                            aria-current=[(word == page.group).then_some("page")] { (name) }
                    }
                }
            }
            @if page.group == EVENTS { (events()) } @else { (rows(page)) }
            @if let Some(next) = &page.next {
                a class="more" href={ (BASE) "/activity?group=" (page.group) "&cursor=" (next) } {
                    (words::MORE)
                }
            }
            @if page.group == EVENTS { (curl(page.person, "events?include=message,chat")) }
            @else {
                @let kinds = if page.kinds.is_empty() { String::new() } else { format!("&kind={}", page.kinds) };
                (curl(page.person, &format!("activities?limit=50{kinds}")))
            }
        }
    }
}

/// The tail of events: the newest first, as they come.
fn events() -> Markup {
    html! {
        p { button type="button" class="small" data-pause=(text::GO_ON) { (text::PAUSE) } }
        ol id="events" class="activities events" data-tail=(EVENTS) data-most="200" {
            li class="empty" { (text::NO_EVENT) }
        }
    }
}

/// An event as an integrator gets it, as a fragment.
pub fn event_row(name: &str, at: Option<&str>, event: &Value) -> Markup {
    html! {
        li id={ "v-" (event["id"].as_str().unwrap_or_default()) } data-into="events" data-place="first" data-at=[at] {
            time datetime=[at] data-ago { (at.unwrap_or_default()) }
            code { (name) }
            details {
                summary { (event["actor"].as_str().unwrap_or_default()) }
                pre tabindex="0" { code { (serde_json::to_string_pretty(event).unwrap_or_default()) } }
            }
        }
    }
}

/// The entries, as a fragment.
pub fn rows(page: &Activities<'_>) -> Markup {
    html! {
        ol id="activities" class="activities" data-tail=[page.is_first.then_some(page.group)] {
            @for entry in page.entries { (row(page, entry)) }
            @if page.entries.is_empty() { li class="empty" { (text::EMPTY) } }
        }
    }
}

fn row(page: &Activities<'_>, entry: &ActivityView) -> Markup {
    let chat = entry.details["chatId"].as_str();
    html! {
        li id={ "a-" (entry.activity_id) } {
            time datetime=(entry.at) data-ago { (entry.at) }
            span class="actor" { (words::thread::actor(&entry.actor)) }
            span {
                strong { (text::kind(&entry.kind)) }
                @if let Some(chat) = chat {
                    @let name = page.names.get(chat).map_or(text::CONVERSATION, String::as_str);
                    " · " a href={ (BASE) "/inbox?chat=" (chat) } { (name) }
                }
                @for (name, value) in details(&entry.details) {
                    " " span class="quiet" { (text::detail(name, &value)) }
                }
            }
        }
    }
}

/// What is short enough to be read, without ids.
fn details(details: &Value) -> Vec<(&str, String)> {
    let all = details.as_object().into_iter().flatten();
    let shown =
        all.filter(|(name, _)| !name.ends_with("Id") && *name != "reference").filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(is_so) => is_so.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            (!text.is_empty() && text.len() <= 80).then_some((name.as_str(), text))
        });
    shown.take(DETAILS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn details_are_short_and_no_ids() {
        let all = json!({
            "chatId": "1", "reason": "api", "reference": "7", "hours": 12,
            "long": "x".repeat(81), "list": [1], "none": null
        });
        let mut shown = details(&all);
        shown.sort();
        assert_eq!(shown, [("hours", "12".to_owned()), ("reason", "api".to_owned())]);
    }
}
