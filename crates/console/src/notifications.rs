//! Who is notified of what is wrong, and what they were told.

use crate::page::curl;
use crate::words::notifications as text;
use crate::{BASE, Person, words};
use dmrelay_domain::notification::IncidentKind;
use dmrelay_views::{IncidentView, NotificationView, TargetView};
use maud::{Markup, html};

/// The page.
pub struct Notifications<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// What is wrong now.
    pub incidents: &'a [IncidentView],
    /// Who is notified.
    pub targets: &'a [TargetView],
    /// What they were told, newest first.
    pub told: &'a [NotificationView],
}

/// The page's panes.
pub fn notifications(page: &Notifications<'_>) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::NOTIFICATIONS) }
            p class="quiet" { (text::INTRO) }
            h2 { (text::WRONG_NOW) }
            ul class="incidents" {
                @for incident in page.incidents { (wrong(incident)) }
                @if page.incidents.is_empty() { li class="fine" { (text::ALL_WELL) } }
            }
            p id="new-secret" role="status" {}
            (told(page))
            (create(page.person))
            (curl(page.person, "notification-targets"))
        }
    }
}

fn wrong(incident: &IncidentView) -> Markup {
    html! {
        li {
            strong { (incident.title.unwrap_or(&incident.kind)) }
            @if let Some(handle) = &incident.username { " · @" (handle) }
            " · " (text::SINCE) " " time datetime=(incident.since) data-ago { (incident.since) }
            p { (incident.message) " " (incident.advice.unwrap_or_default()) }
        }
    }
}

/// Who is told, and what they were told, as a fragment.
pub fn told(page: &Notifications<'_>) -> Markup {
    let name_of = |id| page.targets.iter().find(|target| target.target_id == id).map(address);
    html! {
        div id="targets" {
            h2 { (text::TARGETS) }
            div class="wide" tabindex="0" role="region" aria-label=(text::TARGETS) {
                table {
                    thead { tr { th { (text::WHERE) } th { (text::OF_WHAT) } th { (text::STATE) } th { span class="skip" { (text::ACTS) } } } }
                    tbody {
                        @for target in page.targets { (row(page.person, target)) }
                        @if page.targets.is_empty() { tr { td colspan="4" { (text::NO_TARGET) } } }
                    }
                }
            }
            h2 { (text::LATELY) }
            div class="wide" tabindex="0" role="region" aria-label=(text::LATELY) {
                table {
                    thead { tr { th { (text::WHEN) } th { (text::WHOM) } th { (text::WHAT) } th { (text::OUTCOME) } } }
                    tbody {
                        @for one in page.told {
                            @let title = one.incident.as_ref().map_or(text::A_TEST, |incident| incident.title.unwrap_or_default());
                            tr {
                                td { time datetime=(one.created_at) data-ago { (one.created_at) } }
                                td { (name_of(one.target_id).unwrap_or(text::GONE)) }
                                td { (text::told(&one.kind, title)) }
                                td {
                                    span class={ "pill " (one.state) } { (words::notification(&one.state)) }
                                    @if let Some(last) = one.attempts.last() {
                                        " " span class="quiet" { (text::attempt(last.status, last.error.as_deref())) }
                                    }
                                }
                            }
                        }
                        @if page.told.is_empty() { tr { td colspan="4" { (text::NOTHING_TOLD) } } }
                    }
                }
            }
        }
    }
}

fn address(target: &TargetView) -> &str {
    target.name.as_deref().or(target.url.as_deref()).or(target.email.as_deref()).unwrap_or_default()
}

fn row(person: &Person, target: &TargetView) -> Markup {
    let act = |deed: &str| format!("{BASE}/notifications/{}/{deed}", target.target_id);
    let button = |deed: &str, label: &str, confirm: Option<&str>| {
        html! {
            form method="post" action=(act(deed)) data-post data-confirm=[confirm] {
                input type="hidden" name="csrf" value=(person.csrf);
                button class="small" aria-label={ (label) ": " (address(target)) } { (label) }
            }
        }
    };
    let kinds = target.kinds.iter().flatten().filter_map(|kind| IncidentKind::parse(kind));
    let kinds: Vec<&str> = kinds.map(IncidentKind::title).collect();
    html! {
        tr {
            th scope="row" {
                (address(target))
                @if target.name.is_some() { " " span class="quiet" { (target.url.as_deref().or(target.email.as_deref()).unwrap_or_default()) } }
            }
            td { @if kinds.is_empty() { (text::OF_ALL) } @else { (kinds.join(", ")) } }
            td {
                @if target.enabled { (text::ON) } @else { span class="pill failed" { (text::OFF) } }
                @if let Some(why) = &target.disabled_reason { " " span class="quiet" { (why) } }
            }
            td class="acts" {
                @if target.enabled {
                    (button("test", text::TEST, None))
                    (button("disable", text::DISABLE, None))
                } @else { (button("enable", text::ENABLE, None)) }
                @if target.url.is_some() { (button("rotate", text::ROTATE, Some(text::ROTATE_CONFIRM))) }
                (button("remove", text::REMOVE, Some(text::REMOVE_CONFIRM)))
            }
        }
    }
}

fn create(person: &Person) -> Markup {
    html! {
        form class="connect" method="post" action={ (BASE) "/notifications" } data-post {
            input type="hidden" name="csrf" value=(person.csrf);
            h2 { (text::NEW) }
            div class="fields" {
                label { (text::BY) select name="channel" { option value="webhook" { (text::BY_WEBHOOK) } option value="email" { (text::BY_EMAIL) } } }
                label { (text::ADDRESS) input name="address" required maxlength="2000" autocomplete="off" placeholder=(text::ADDRESS_EXAMPLE); }
                label { (text::NAME) input name="name" maxlength="100" autocomplete="off" placeholder=(text::NAME_EXAMPLE); }
            }
            fieldset {
                legend { (text::KINDS) }
                @for kind in IncidentKind::ALL {
                    label class="tick" { input type="checkbox" name=(kind.as_str()) value="true"; " " (kind.title()) }
                }
            }
            button class="take" { (text::ADD) }
        }
    }
}

/// A new secret, as a fragment: nobody can see it again.
pub fn secret(secret: &str) -> Markup {
    html! { p id="new-secret" role="status" class="made" { (text::SECRET) code { (secret) } } }
}
