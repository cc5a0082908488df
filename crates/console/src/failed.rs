//! What failed for good, by what to do about it.

use crate::inbox::moment;
use crate::page::{curl, fill, of_agent};
use crate::words::{self, failed as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::DeadLetterView;
use maud::{Markup, html};
use uuid::Uuid;

/// Which of them are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sieve {
    /// Of this class; empty for all.
    pub class: String,
    /// Of this account.
    pub account: Option<Uuid>,
    /// That speak of this: `turn`, `message` or `event`; empty for all.
    pub kind: String,
    /// What became of them: `open`, `replayed` or `discarded`.
    pub state: String,
}

impl Sieve {
    /// The words of its address.
    pub fn query(&self) -> String {
        let account = self.account.map(|id| id.to_string()).unwrap_or_default();
        format!("class={}&account={account}&kind={}&state={}", self.class, self.kind, self.state)
    }
}

impl Sieve {
    /// The same over REST, for one agent.
    fn call(&self) -> String {
        let mut call = format!("dead-letters?state={}", self.state);
        let account = self.account.map(|id| id.to_string()).unwrap_or_default();
        for (name, value) in [("class", &self.class), ("kind", &self.kind), ("connectionId", &account)] {
            if !value.is_empty() {
                call.extend(["&", name, "=", value]);
            }
        }
        call
    }
}

/// The page.
pub struct Failed<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// One of their agents, to show the same over REST.
    pub agent: &'a str,
    /// The classes with how many open ones there are of each.
    pub classes: &'a [(String, u64)],
    /// What is shown.
    pub sieve: &'a Sieve,
    /// The accounts, with their handles.
    pub accounts: &'a [(Uuid, String)],
    /// The dead letters, each with the name of its customer.
    pub letters: &'a [(DeadLetterView, Option<String>)],
    /// How many there are in all, with a plus where counting stopped.
    pub total: &'a str,
    /// Where the next page begins.
    pub next: Option<String>,
    /// Whether this is the first page, which is kept live.
    pub is_first: bool,
}

/// The page's panes.
pub fn failed(page: &Failed<'_>) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::FAILED) }
            (found(page))
            (curl(page.person, &of_agent(page.agent, &page.sieve.call())))
        }
    }
}

/// What there is.
fn found(page: &Failed<'_>) -> Markup {
    let may_act = page.sieve.state == "open" && page.person.may(Permission::Replay);
    html! {
        div id="failed" data-tail=[page.is_first.then_some("failed")] data-q=(page.sieve.query()) {
            (tiles(page))
            (sieve(page))
            @if may_act { (bulk(page)) }
            div id="bulk" role="status" {}
            ol class="letters" id="letters" {
                (letters(page))
                @if page.letters.is_empty() { (nothing(page)) }
            }
            @if let Some(next) = &page.next { a class="more" href=(next) { (words::MORE) } }
        }
    }
}

/// What has changed, as fragments: how many there are, and the newest.
pub fn news(page: &Failed<'_>) -> Markup {
    html! { (tiles(page)) (count(page)) (matching(page)) (letters(page)) }
}

fn tiles(page: &Failed<'_>) -> Markup {
    html! { ul class="tiles" id="classes" { @for (class, count) in page.classes { (tile(page.sieve, class, *count)) } } }
}

fn count(page: &Failed<'_>) -> Markup {
    html! { span class="quiet" id="found" { (text::found(page.total)) } }
}

fn matching(page: &Failed<'_>) -> Markup {
    html! { span id="matching" { (text::all_matching(page.total)) } }
}

fn nothing(page: &Failed<'_>) -> Markup {
    let is_all = *page.sieve == Sieve { state: "open".to_owned(), ..Sieve::default() };
    html! {
        li class="nothing empty" {
            @if is_all {
                p class="big" { (text::NOTHING) }
                p { (text::NOTHING_HINT) }
                p class="acts" {
                    a class="button" href={ (BASE) "/inbox" } { (text::TO_INBOX) }
                    a class="button" href={ (BASE) "/failed?state=replayed" } { (text::SEE_CLOSED) }
                }
            } @else { p { (text::NONE_MATCHES) } }
        }
    }
}

fn tile(sieve: &Sieve, class: &str, count: u64) -> Markup {
    let is_shown = sieve.class == class;
    // The number is that of all open ones. A second click shows every class again.
    let class_wanted = if is_shown { String::new() } else { class.to_owned() };
    let wanted = Sieve { class: class_wanted, state: "open".to_owned(), ..Sieve::default() };
    html! {
        li {
            a href={ (BASE) "/failed?" (wanted.query()) } aria-current=[is_shown.then_some("true")] {
                strong { (count) }
                span class="pill failed" { (text::class(class)) }
                p { (text::failure(class)) }
                p { strong class="advice" { (text::advice(class)) } }
            }
        }
    }
}

/// What is shown, to be changed.
fn sieve(page: &Failed<'_>) -> Markup {
    let Sieve { class, account, kind, state } = page.sieve;
    let option = |value: &str, name: &str, now: &str| {
        html! { option value=(value) selected[value == now] { (name) } }
    };
    html! {
        form class="sieve" action={ (BASE) "/failed" } {
            input type="hidden" name="class" value=(class);
            select name="state" aria-label=(text::STATE) {
                @for (word, name) in text::STATES { (option(word, name, state)) }
            }
            select name="kind" aria-label=(text::KIND) {
                (option("", text::ALL_KINDS, kind))
                @for word in ["turn", "message", "event"] { (option(word, text::kind(word), kind)) }
            }
            @if page.accounts.len() > 1 {
                @let now = account.map(|id| id.to_string()).unwrap_or_default();
                select name="account" aria-label=(text::ACCOUNT) {
                    (option("", text::ALL_ACCOUNTS, &now))
                    @for (id, handle) in page.accounts { (option(&id.to_string(), &format!("@{handle}"), &now)) }
                }
            }
            button { (text::FILTER) }
            (count(page))
        }
    }
}

/// What can be done with many.
fn bulk(page: &Failed<'_>) -> Markup {
    let deed = |deed: &str, confirm: Option<&str>, class: Option<&str>, label: &str| {
        html! { button name="deed" value=(deed) class=[class] data-confirm=[confirm] data-keep { (label) } }
    };
    html! {
        form class="bulk" id="many" method="post" action={ (BASE) "/failed/many" } data-post {
            input type="hidden" name="csrf" value=(page.person.csrf);
            input type="hidden" name="sieve" value=(page.sieve.query());
            label class="tick" {
                input type="checkbox" name="all" value="true" data-all;
                " " (matching(page))
            }
            (deed("foresee", None, None, text::DRY_RUN))
            (deed("replay", Some(text::CONFIRM_REPLAY_ALL), Some("take"), text::REPLAY_SELECTED))
            (deed("discard", Some(text::CONFIRM_DISCARD_ALL), None, text::DISCARD_SELECTED))
        }
    }
}

/// How far a deed with many has come.
pub struct Outcome<'a> {
    /// `foresee`, `replay` or `discard`.
    pub deed: &'a str,
    /// For how many it was done, and could not be done, until now.
    pub done: u64,
    /// Those it could not be done for.
    pub skipped: u64,
    /// How many there were.
    pub total: u64,
    /// Why not, of the last ones, with how many.
    pub refused: &'a [(String, usize)],
    /// Which they are.
    pub sieve: &'a Sieve,
    /// Where the next ones begin.
    pub next: Option<&'a str>,
    /// Of which time they are at most, in milliseconds.
    pub until: i64,
}

/// How far it has come, as a fragment: while there is more, the page goes on by itself.
pub fn outcome(person: &Person, outcome: &Outcome<'_>) -> Markup {
    let Outcome { deed, done, skipped, total, refused, sieve, next, until } = *outcome;
    html! {
        div id="bulk" role="status" {
            @if let Some(next) = next {
                progress max=(total) value=(done.saturating_add(skipped)) aria-label=(text::PROGRESS) {}
                form method="post" action={ (BASE) "/failed/many" } data-post {
                    input type="hidden" name="csrf" value=(person.csrf);
                    input type="hidden" name="sieve" value=(sieve.query());
                    input type="hidden" name="all" value="true";
                    input type="hidden" name="deed" value=(deed);
                    input type="hidden" name="cursor" value=(next);
                    input type="hidden" name="until" value=(until);
                    input type="hidden" name="done" value=(done);
                    input type="hidden" name="skipped" value=(skipped);
                    input type="hidden" name="total" value=(total);
                    button class="small" { (text::NEXT) }
                }
            }
            p {
                (text::outcome(deed, done))
                @if skipped > 0 { " " (text::skipped(skipped)) }
                @for (why, count) in refused { " " (text::because(*count, why)) }
            }
        }
    }
}

fn letters(page: &Failed<'_>) -> Markup {
    html! {
        @for (letter, customer) in page.letters {
            (listed(page.person, letter, customer.as_deref()))
        }
    }
}

/// A dead letter of the list, with its customer if there is one with a name.
pub fn listed(person: &Person, letter: &DeadLetterView, customer: Option<&str>) -> Markup {
    self::letter(person, letter, Some(customer.unwrap_or(text::A_CUSTOMER)))
}

/// A dead letter, as a fragment. In a conversation it stands without its customer, and cannot be selected.
pub fn letter(person: &Person, letter: &DeadLetterView, customer: Option<&str>) -> Markup {
    let act = |verb: &str| format!("{BASE}/failed/{}/{verb}", letter.dead_letter_id);
    let may_act = letter.state == "open" && person.may(Permission::Replay);
    // One that is closed is shown only where it was open.
    let list = if customer.is_some() { "letters" } else { "messages" };
    let into = (letter.state == "open" || customer.is_none()).then_some(list);
    html! {
        li class="letter" id={ "letter-" (letter.dead_letter_id) } data-into=[into]
            data-place=[customer.map(|_| "first")] data-at=(letter.created_at) {
            div {
                @if may_act && customer.is_some() {
                    input type="checkbox" name="letter" form="many" value=(letter.dead_letter_id)
                        aria-label=(text::select(text::kind(&letter.kind), customer.unwrap_or_default(), &letter.created_at));
                }
                strong { (text::kind(&letter.kind)) }
                @if let (Some(chat), Some(customer)) = (letter.chat_id, customer) {
                    " " (fill(text::WITH, &html! { a href=(conversation(letter, chat)) { (customer) } }))
                }
                " · " (moment(&letter.created_at))
                " " span class="pill failed" { (text::class(&letter.class)) }
            }
            p { (letter.error) }
            @match letter.state {
                "open" => @if may_act {
                    div class="acts" {
                        form method="post" action=(act("replay")) data-post {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button class="take" { (text::REPLAY) }
                        }
                        form method="post" action=(act("discard")) data-post data-confirm=(text::CONFIRM_DISCARD) {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button { (text::DISCARD) }
                        }
                    }
                },
                closed => p class="closed" {
                    (text::closed(closed, letter.closed_by.as_deref()))
                },
            }
        }
    }
}

/// Where the conversation is, at the message that failed.
fn conversation(letter: &DeadLetterView, chat: Uuid) -> String {
    match letter.kind.as_str() {
        "message" => format!("{BASE}/messages/{}", letter.reference),
        _ => format!("{BASE}/inbox?chat={chat}"),
    }
}
