//! What failed for good, by what to do about it.

use crate::inbox::moment;
use crate::{BASE, Person, words};
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
                div class="nothing" { p class="big" { "Nothing has failed." } p { "What cannot be delivered or answered is kept here with its reason." } }
            } @else {
                ul class="tiles" {
                    @for (class, count) in page.classes {
                        li {
                            a href={ (BASE) "/failed?class=" (class) } aria-current=[(page.class == Some(class)).then_some("page")] {
                                strong { (count) }
                                span class="pill failed" { (words::class(class)) }
                                p { (words::failure(class)) }
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
            a href={ (BASE) "/failed" } { "‹ All" }
            @if person.may(Permission::Replay) {
                button name="dry" value="true" { "What would happen?" }
                button class="take" name="dry" value="false" { "Replay all" }
            }
        }
        p id="bulk" role="status" {}
    }
}

/// What a replay of many came to, as a fragment: how many went, and why the others did not.
pub fn outcome(is_dry: bool, replayed: usize, refused: &[(String, usize)], is_all: bool) -> Markup {
    html! {
        p id="bulk" role="status" {
            @if is_dry { (replayed) " would be replayed." } @else { (replayed) " were replayed." }
            @for (why, count) in refused { " " (count) " skipped: " (why) "." }
            @if !is_all { " There are more: replay again for the next batch." }
        }
    }
}

fn letters(page: &Failed<'_>) -> Markup {
    html! {
        ol class="letters" {
            @for (letter, customer) in page.letters { (self::letter(page.person, letter, Some(customer.as_deref().unwrap_or("a customer")))) }
        }
        @if let Some(next) = &page.next { a class="more" href=(next) { (words::MORE) } }
    }
}

/// A dead letter, as a fragment.
pub fn letter(person: &Person, letter: &DeadLetterView, customer: Option<&str>) -> Markup {
    let what = match letter.kind.as_str() {
        "turn" => "Question to the agent",
        "message" => "Message",
        _ => "Event from Meta",
    };
    let act = |verb: &str| format!("{BASE}/failed/{}/{verb}", letter.dead_letter_id);
    html! {
        li class="letter" id={ "letter-" (letter.dead_letter_id) } data-into="messages" data-at=(letter.created_at) {
            div {
                strong { (what) }
                @if let (Some(chat), Some(customer)) = (letter.chat_id, customer) {
                    " with " a href={ (BASE) "/inbox?chat=" (chat) } { (customer) }
                }
                " · " (moment(&letter.created_at))
                " " span class="pill failed" { (words::class(&letter.class)) }
            }
            p { (letter.error) }
            @match letter.state {
                "open" => @if person.may(Permission::Replay) {
                    div class="acts" {
                        form method="post" action=(act("replay")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button class="take" { "Replay" }
                        }
                        form method="post" action=(act("discard")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button { "Discard" }
                        }
                    }
                },
                closed => p class="closed" {
                    @if closed == "replayed" { "Replayed" } @else { "Discarded" }
                    @if let Some(by) = &letter.closed_by { " by " (by) }
                },
            }
        }
    }
}
