//! The ice breakers and the menu of an account, as lines to edit.

use crate::words::{self, profile as text};
use crate::{BASE, Person};
use maud::{Markup, html};
use uuid::Uuid;

/// What customers see before they write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// Questions to tap, one a line: `question = payload`.
    pub questions: String,
    /// Entries of the menu, one a line: `title = payload`, or `title = https://…`.
    pub menu: String,
    /// Other languages than the default, which stay as they are.
    pub other_locales: Vec<String>,
    /// Whether Meta has something else than what was set here.
    pub differs: bool,
    /// Whether the lines say all that was set: otherwise they cannot be edited.
    pub fits: bool,
}

/// The dialog, as a fragment.
pub fn profile(person: &Person, connection: Uuid, lines: &Lines, outcome: Option<&str>) -> Markup {
    html! {
        dialog id="profile" class="trace" aria-labelledby="profile-title" data-into="dialogs" {
            form method="dialog" { button class="quiet" aria-label=(words::CLOSE) { "✕" } }
            h2 id="profile-title" { (text::TITLE) }
            @if let Some(outcome) = outcome { p class="made" role="status" { (outcome) } }
            @if lines.differs { p class="problem" { (text::DIFFERS) } }
            @if lines.fits { (form(person, connection, lines)) }
            @else { p class="problem" { (text::DOES_NOT_FIT) } }
        }
    }
}

fn form(person: &Person, connection: Uuid, lines: &Lines) -> Markup {
    html! {
        form class="stack" method="post" action={ (BASE) "/accounts/" (connection) "/profile" } data-post {
            input type="hidden" name="csrf" value=(person.csrf);
            label {
                (text::QUESTIONS)
                textarea name="questions" rows="4" placeholder=(text::QUESTIONS_EXAMPLE) { (lines.questions) }
            }
            label {
                (text::MENU)
                textarea name="menu" rows="6" placeholder=(text::MENU_EXAMPLE) { (lines.menu) }
            }
            p class="quiet" { (text::PAYLOADS) }
            @if !lines.other_locales.is_empty() {
                p class="quiet" { (text::other_languages(&lines.other_locales)) }
            }
            button class="take" { (text::SAVE) }
        }
    }
}
