//! Messages for many customers: made, counted before, and watched.

use crate::content::message;
use crate::draft::{Draft, fields, preview};
use crate::page::{curl, of_agent};
use crate::words::{self, broadcasts as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{BroadcastProgress, BroadcastView, ReachView, SkippedReasons, TemplateView};
use maud::{Markup, html};
use serde_json::Value;
use uuid::Uuid;

/// The page.
pub struct Broadcasts<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// One of their agents, to show the same over REST.
    pub agent: &'a str,
    /// The accounts that can send: their ids and handles.
    pub accounts: &'a [(Uuid, String)],
    /// The saved messages.
    pub templates: &'a [TemplateView],
    /// The broadcasts, newest first, with how far they have come.
    pub all: &'a [BroadcastView],
    /// The id of the one that is made next: sent twice, the form makes one.
    pub next: Uuid,
}

/// The page's panes.
pub fn broadcasts(page: &Broadcasts<'_>) -> Markup {
    let may = page.person.may(Permission::Broadcast);
    html! {
        main id="main" class="sheet" {
            h1 { (words::BROADCASTS) }
            p class="quiet" { (text::INTRO) }
            @if may && !page.accounts.is_empty() { (create(page)) }
            (sent(page))
            (curl(page.person, &of_agent(page.agent, "broadcasts")))
        }
    }
}

/// The broadcasts, as a fragment that is kept live.
pub fn sent(page: &Broadcasts<'_>) -> Markup {
    html! {
        div id="broadcasts" data-tail="broadcasts" {
            @for one in page.all { (card(page.person, one)) }
            @if page.all.is_empty() { p class="empty" { (text::NONE) } }
        }
    }
}

fn card(person: &Person, one: &BroadcastView) -> Markup {
    let act = |deed: &str, label: &str, confirm: Option<&str>| {
        html! {
            form method="post" action={ (BASE) "/broadcasts/" (one.broadcast_id) "/" (deed) } data-post data-confirm=[confirm] {
                input type="hidden" name="csrf" value=(person.csrf);
                button class="small" aria-label={ (label) ": " (one.name) } { (label) }
            }
        }
    };
    let is_over = matches!(one.state.as_str(), "done" | "cancelled");
    html! {
        section class="card" {
            header {
                h2 { (one.name) }
                span class={ "pill " (one.state) } { (text::state(&one.state)) }
                span class="quiet" { (one.actor) " · " time datetime=(one.created_at) data-ago { (one.created_at) } }
            }
            div class="bubble bot" { (message(&one.message)) }
            @if let Some(progress) = &one.progress { (shown(progress)) }
            @if person.may(Permission::Broadcast) && !is_over {
                div class="acts" {
                    @if one.state == "paused" { (act("resume", text::RESUME, None)) }
                    @else { (act("pause", text::PAUSE, None)) }
                    (act("cancel", text::CANCEL, Some(text::CANCEL_CONFIRM)))
                }
            }
        }
    }
}

fn shown(progress: &BroadcastProgress) -> Markup {
    let done = progress.recipients - progress.pending;
    html! {
        progress max=(progress.recipients.max(1)) value=(done) aria-label=(text::PROGRESS) {}
        p {
            (text::progress(progress.sent, progress.recipients))
            @for (count, what) in [(progress.queued, text::QUEUED), (progress.failed, text::FAILED), (progress.unknown, text::UNKNOWN)] {
                @if count > 0 { " · " (count) " " (what) }
            }
        }
        (reasons(progress.skipped, &progress.skipped_reasons))
    }
}

fn reasons(skipped: u64, why: &SkippedReasons) -> Markup {
    let all = [
        (why.window_closed, text::WINDOW_CLOSED),
        (why.opted_out, text::OPTED_OUT),
        (why.human_answers, text::HUMAN_ANSWERS),
        (why.agent_answers, text::AGENT_ANSWERS),
        (why.not_filled, text::NOT_FILLED),
        (why.gone, text::GONE),
    ];
    html! {
        @if skipped > 0 {
            p class="quiet" {
                (text::skipped(skipped)) ": "
                @for (n, (count, what)) in all.iter().filter(|(count, _)| *count > 0).enumerate() {
                    @if n > 0 { ", " } (count) " " (what)
                }
            }
        }
    }
}

fn create(page: &Broadcasts<'_>) -> Markup {
    html! {
        form id="editor" class="connect editor" method="post" action={ (BASE) "/broadcasts" } data-post data-preview={ (BASE) "/drafts" } {
            input type="hidden" name="csrf" value=(page.person.csrf);
            (fresh_id(page.next))
            h2 { (text::NEW) }
            div class="fields" {
                label { (text::NAME) input name="name" required maxlength="100" autocomplete="off" placeholder=(text::NAME_EXAMPLE); }
                label {
                    (text::ACCOUNT)
                    select name="connection" { @for (id, handle) in page.accounts { option value=(id) { "@" (handle) } } }
                }
                @if !page.templates.is_empty() {
                    label {
                        (text::MESSAGE)
                        select name="template" {
                            option value="" { (text::WRITTEN_HERE) }
                            @for template in page.templates { option value=(template.template_id) { (template.name) } }
                        }
                    }
                }
            }
            (fields(&Draft::default()))
            (preview(Ok(&Value::Null)))
            fieldset {
                legend { (text::AUDIENCE) }
                div class="fields" {
                    label { (text::TAGS) input name="tags" autocomplete="off" placeholder=(text::TAGS_EXAMPLE); }
                    label { (text::WITHOUT_TAGS) input name="without_tags" autocomplete="off"; }
                    label { (text::LANGUAGES) input name="languages" autocomplete="off" placeholder=(text::LANGUAGES_EXAMPLE); }
                    label {
                        (text::ACTIVE)
                        select name="active_hours" {
                            option value="" { (text::ANY_TIME) }
                            @for hours in [1, 6, 12] { option value=(hours) { (text::last_hours(hours)) } }
                        }
                    }
                    label { (text::PER_MINUTE) input name="per_minute" inputmode="numeric" placeholder=(text::PER_MINUTE_EXAMPLE); }
                    label {
                        (text::STARTS)
                        select name="in_hours" {
                            option value="" { (text::AT_ONCE) }
                            @for hours in [1, 2, 4, 8, 12] { option value=(hours) { (text::in_hours(hours)) } }
                        }
                    }
                }
            }
            (reach(None))
            div class="acts" {
                button data-keep { (text::COUNT) }
                button class="take" name="send" value="true" data-confirm=(text::SEND_CONFIRM) { (text::SEND) }
            }
        }
    }
}

/// The id of the broadcast that the form makes, as a fragment.
pub fn fresh_id(id: Uuid) -> Markup {
    html! { input id="broadcast-id" type="hidden" name="id" value=(id); }
}

/// Whom it would reach, as a fragment.
pub fn reach(reach: Option<&ReachView>) -> Markup {
    html! {
        div id="reach" aria-live="polite" {
            @if let Some(reach) = reach {
                p { strong { (text::reach(reach.ready, reach.recipients)) } }
                (reasons(reach.skipped, &reach.skipped_reasons))
                @if reach.unnamed > 0 { p class="quiet" { (text::unnamed(reach.unnamed)) } }
            }
        }
    }
}
