//! The ice breakers and the menu of an account, as lines to edit.

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
            form method="dialog" { button class="quiet" aria-label="Close" { "✕" } }
            h2 id="profile-title" { "Ice breakers and menu" }
            @if let Some(outcome) = outcome { p class="made" role="status" { (outcome) } }
            @if lines.differs { p class="problem" { "Meta shows something else: it was changed elsewhere. This is what was set here." } }
            @if !lines.fits { p class="problem" { "This was set over REST in a way that does not fit into lines: change it there." } }
            @else { form class="stack" method="post" action={ (BASE) "/accounts/" (connection) "/profile" } data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                label { "Questions to tap in a new conversation, at most 4, one per line"
                    textarea name="questions" rows="4" placeholder="Where is my order? = ORDER" { (lines.questions) } }
                label { "Menu of a conversation, at most 20, one per line; a link after = is opened"
                    textarea name="menu" rows="6" placeholder="Opening hours = HOURS" { (lines.menu) } }
                p class="quiet" { "The agent gets what follows = when a customer taps; without it, the text itself." }
                @if !lines.other_locales.is_empty() { p class="quiet" { "Other languages stay as they are: " (lines.other_locales.join(", ")) "." } }
                button class="take" { "Save to Meta" }
            } }
        }
    }
}
