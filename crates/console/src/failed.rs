//! What failed for good, by what to do about it.

use crate::inbox::moment;
use crate::page::fill;
use crate::words::{self, failed as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::DeadLetterView;
use maud::{Markup, html};

/// The page.
pub struct Failed<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The classes with how many there are of each.
    pub classes: &'a [(String, u64)],
    /// The class that is shown; none for all.
    pub class: Option<&'a str>,
    /// The dead letters, each with the name of its customer.
    pub letters: &'a [(DeadLetterView, Option<String>)],
    /// Where the next page begins.
    pub next: Option<String>,
}

/// The page's panes.
pub fn failed(page: &Failed<'_>) -> Markup {
    let total: u64 = page.classes.iter().map(|(_, count)| count).sum();
    html! {
        main id="main" class="sheet" {
            h1 { (words::FAILED) }
            @if total == 0 {
                div class="nothing" { p class="big" { (text::NOTHING) } p { (text::NOTHING_HINT) } }
            } @else {
                ul class="tiles" {
                    @for (class, count) in page.classes {
                        li {
                            a href={ (BASE) "/failed?class=" (class) }
                                aria-current=[(page.class == Some(class)).then_some("page")] {
                                strong { (count) }
                                span class="pill failed" { (text::class(class)) }
                                p { (text::failure(class)) }
                            }
                        }
                    }
                }
                @if let Some(class) = page.class { (bulk(page.person, class)) }
                (letters(page))
            }
        }
    }
}

/// What can be done with all of a class.
fn bulk(person: &Person, class: &str) -> Markup {
    html! {
        form class="bulk" method="post" action={ (BASE) "/failed/replay" } data-post {
            input type="hidden" name="csrf" value=(person.csrf);
            input type="hidden" name="class" value=(class);
            a href={ (BASE) "/failed" } { (text::ALL) }
            @if person.may(Permission::Replay) {
                button name="dry" value="true" { (text::DRY_RUN) }
                button class="take" name="dry" value="false" data-confirm=(text::CONFIRM_REPLAY_ALL) {
                    (text::REPLAY_ALL)
                }
            }
        }
        div id="bulk" role="status" {}
    }
}

/// What a replay of many came to.
pub struct Outcome<'a> {
    /// Whether nothing was changed.
    pub is_dry: bool,
    /// How many went.
    pub replayed: usize,
    /// Why others did not, with how many.
    pub refused: &'a [(String, usize)],
    /// Their class.
    pub class: &'a str,
    /// Where the next ones begin.
    pub next: Option<&'a str>,
}

/// The outcome, as a fragment, with a button for the next ones.
pub fn outcome(person: &Person, outcome: &Outcome<'_>) -> Markup {
    html! {
        div id="bulk" role="status" {
            p {
                (text::replayed(outcome.replayed, outcome.is_dry))
                @for (why, count) in outcome.refused { " " (text::skipped(*count, why)) }
            }
            @if let Some(next) = outcome.next {
                form method="post" action={ (BASE) "/failed/replay" } data-post {
                    input type="hidden" name="csrf" value=(person.csrf);
                    input type="hidden" name="class" value=(outcome.class);
                    input type="hidden" name="cursor" value=(next);
                    input type="hidden" name="dry" value=(outcome.is_dry);
                    button { (text::NEXT) }
                }
            }
        }
    }
}

fn letters(page: &Failed<'_>) -> Markup {
    html! {
        ol class="letters" {
            @for (letter, customer) in page.letters {
                (self::letter(page.person, letter, Some(customer.as_deref().unwrap_or(text::A_CUSTOMER))))
            }
        }
        @if let Some(next) = &page.next { a class="more" href=(next) { (words::MORE) } }
    }
}

/// A dead letter, as a fragment.
pub fn letter(person: &Person, letter: &DeadLetterView, customer: Option<&str>) -> Markup {
    let act = |verb: &str| format!("{BASE}/failed/{}/{verb}", letter.dead_letter_id);
    html! {
        li class="letter" id={ "letter-" (letter.dead_letter_id) } data-into="messages"
            data-at=(letter.created_at) {
            div {
                strong { (text::kind(&letter.kind)) }
                @if let (Some(chat), Some(customer)) = (letter.chat_id, customer) {
                    " " (fill(text::WITH, &html! { a href={ (BASE) "/inbox?chat=" (chat) } { (customer) } }))
                }
                " · " (moment(&letter.created_at))
                " " span class="pill failed" { (text::class(&letter.class)) }
            }
            p { (letter.error) }
            @match letter.state {
                "open" => @if person.may(Permission::Replay) {
                    div class="acts" {
                        form method="post" action=(act("replay")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button class="take" { (text::REPLAY) }
                        }
                        form method="post" action=(act("discard")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button { (text::DISCARD) }
                        }
                    }
                },
                closed => p class="closed" { (text::closed(closed, letter.closed_by.as_deref())) },
            }
        }
    }
}
