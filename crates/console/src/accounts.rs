//! The connected accounts: whether they work, and what to do if not.

use crate::page::{curl, fill, of_agent};
use crate::words::{self, accounts as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ConnectionView, EffectiveSettings, EntryPoints, HealthView};
use maud::{Markup, html};
use uuid::Uuid;

/// An account.
pub struct Account {
    /// The connection.
    pub connection: ConnectionView,
    /// Its health.
    pub health: HealthView,
    /// Where customers reach it.
    pub links: Option<EntryPoints>,
}

/// A login with which people connect accounts: its word, and its name.
pub type Login = (&'static str, &'static str);

/// Which accounts a page shows.
#[derive(Debug, Clone, Copy)]
pub enum Here {
    /// Those of a page of the list, from 0.
    Page(usize),
    /// This one.
    One(Uuid),
}

/// The page's panes. `agents` are those that accounts can be connected to.
pub fn accounts(
    person: &Person,
    (accounts, next): (&[Account], Option<&str>),
    (agents, logins): (&[String], &[Login]),
    outcome: Option<(&str, Option<&str>)>,
    here: Here,
) -> Markup {
    let is_one = matches!(here, Here::One(_));
    html! {
        main id="main" class="sheet" {
            h1 { @match (here, accounts) {
                (Here::One(_), [one]) => { "@" (handle_of(&one.connection)) },
                _ => (words::ACCOUNTS),
            } }
            @if let Here::One(_) = here { p { a href={ (BASE) "/accounts" } { (text::ALL_ACCOUNTS) } } }
            @if let Some((status, error)) = outcome {
                p class=[(status != "connected").then_some("problem")] role="status" {
                    (text::connect_outcome(status, error))
                }
            }
            (cards(person, accounts, here))
            @if !accounts.is_empty() && !is_one { p { a href={ (BASE) "/accounts/sheet" } { (text::SHEET) } } }
            @if let Some(next) = next { a class="more" href=(next) { (words::MORE) } }
            @if accounts.is_empty() {
                div class="nothing" { p class="big" { (text::NO_ACCOUNT) } p { (text::NO_ACCOUNT_HINT) } }
            }
            @if person.may(Permission::Connect) && !logins.is_empty() && !is_one { (connect(person, agents, logins)) }
            @if let Some(agent) = agents.first() { (curl(person, &of_agent(agent, "connections"))) }
        }
    }
}

/// The accounts of a page, as a fragment that is kept live.
pub fn cards(person: &Person, accounts: &[Account], here: Here) -> Markup {
    let sieve = match here {
        Here::Page(page) => format!("page={page}"),
        Here::One(id) => format!("account={id}"),
    };
    html! {
        ul class="cards" id="accounts" data-tail="accounts" data-q=(sieve) {
            @for account in accounts { (card(person, account, matches!(here, Here::One(_)), None)) }
        }
    }
}

/// An account, as a fragment. `is_open` is whether its settings are shown at once, `done` what was just done.
pub fn card(person: &Person, account: &Account, is_open: bool, done: Option<&str>) -> Markup {
    let connection = &account.connection;
    let is_live = connection.status != "disconnected";
    html! {
        li class="card" id={ "account-" (connection.connection_id) } {
            header {
                h2 { a href={ (BASE) "/accounts/" (connection.connection_id) } title=(text::THIS_ACCOUNT) { "@" (handle_of(connection)) } }
                span class={ "pill status " (connection.status) } { (text::connection(&connection.status)) }
                @if connection.bot_paused { span class="pill paused" { (text::BOT_PAUSED) } }
            }
            @if let Some(done) = done { p class="done" role="status" { (done) } }
            @if connection.status == "reauth_required" { p { (text::LOGIN_ENDED) } }
            @if let Some(reason) = &connection.status_reason { p class="quiet" { (reason) } }
            div class="body" {
            div {
            dl {
                dt { (text::AGENT) } dd class="code" { (connection.agent_id) }
                dt { (text::LAST_EVENT) }
                dd { @match &connection.last_event_at {
                    Some(at) => time datetime=(at) data-ago { (at) },
                    None => (text::NO_EVENT),
                } }
                @if let Some(at) = &connection.token_expires_at {
                    dt { (text::TOKEN_UNTIL) } dd { time datetime=(at) data-day { (at) } }
                }
            }
            @if person.may(Permission::Connect) && connection.status != "connected" { (log_in_again(person, connection)) }
            // Without a valid login they are those of before.
            @if is_live && connection.status != "reauth_required" { (checks(&account.health)) }
            }
            @if is_live {
                div {
                    @if let Some(links) = &account.links { (entry_points(connection, links)) }
                    (acts(person, connection, is_open))
                }
            }
            }
        }
    }
}

/// The way out for an account that does not work any more: its owner logs in at Meta.
fn log_in_again(person: &Person, connection: &ConnectionView) -> Markup {
    html! {
        form class="again" method="post" action={ (BASE) "/accounts/" (connection.connection_id) "/login" } {
            input type="hidden" name="csrf" value=(person.csrf);
            button class="take" { (text::LOG_IN_AGAIN) }
        }
    }
}

fn handle_of(connection: &ConnectionView) -> &str {
    connection.username.as_deref().unwrap_or(&connection.instagram_account_id)
}

fn checks(health: &HealthView) -> Markup {
    html! {
        ul class="checks" {
            @for check in &health.checks {
                li class={ "check " (check.state) } {
                    span class="dot" aria-hidden="true" {}
                    details open[check.state == "failing" || check.state == "warning"] {
                        summary {
                            (text::check(&check.check)) " "
                            span class="quiet" { (text::check_state(&check.state)) }
                        }
                        p { (check.message) }
                    }
                }
            }
        }
    }
}

/// Where customers reach the account, as links and QR codes.
fn entry_points(connection: &ConnectionView, links: &EntryPoints) -> Markup {
    let all = [
        ("direct_message", &links.direct_message, text::WRITE_TO_US),
        ("profile", &links.profile, text::PROFILE),
    ];
    html! {
        div class="entry" {
            @for (what, link, name) in all {
                @let code = format!("{BASE}/accounts/{}/qr?link={what}", connection.connection_id);
                @let file = format!("{}-{what}", handle_of(connection));
                figure {
                    img src=(code) alt=(text::qr_code(link)) width="112" height="112" loading="lazy";
                    figcaption {
                        a href=(link) rel="noreferrer" { (name) } br;
                        a href={ (code) "&format=png&size=1024" } download={ (file) ".png" } { (text::PNG) } " · "
                        a href=(code) download={ (file) ".svg" } { (text::SVG) }
                    }
                }
            }
        }
    }
}

/// What the person may do with the account.
fn acts(person: &Person, connection: &ConnectionView, is_open: bool) -> Markup {
    let (may_connect, may_configure) = (person.may(Permission::Connect), person.may(Permission::Configure));
    let act = |verb: &str| format!("{BASE}/accounts/{}/{verb}", connection.connection_id);
    html! {
        div class="acts" {
            @if may_connect { (button(person, &act("check"), text::CHECK_NOW, false, None)) }
            @if may_configure {
                @if connection.bot_paused { (button(person, &act("resume"), text::RESUME_BOT, true, None)) }
                @else { (button(person, &act("pause"), text::PAUSE_BOT, false, None)) }
                a class="button" href=(act("profile")) data-show { (words::profile::TITLE) }
                a class="button" href=(act("rules")) data-show { (words::rules::TITLE) }
                (settings(person, connection, is_open))
            }
            @if may_connect {
                (another_agent(person, &act("agent")))
                details class="danger" {
                    summary { (text::DISCONNECT_ASK) }
                    (button(person, &act("disconnect"), text::DISCONNECT, false, Some(handle_of(connection))))
                }
            }
        }
    }
}

fn another_agent(person: &Person, action: &str) -> Markup {
    html! {
        details class="settings" {
            summary { (text::ANOTHER_AGENT) }
            form method="post" action=(action) data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                label {
                    (text::NEW_AGENT)
                    input name="agent" list="agents" required maxlength="128" autocomplete="off";
                }
                p class="quiet" { (text::NEW_AGENT_HINT) }
                button { (text::CHANGE_AGENT) }
            }
        }
    }
}

/// The settings of an account, with what holds where a field is empty.
fn settings(person: &Person, connection: &ConnectionView, is_open: bool) -> Markup {
    let set = &connection.settings;
    let texts = set.automatic_texts.as_deref().unwrap_or_default().join("\n");
    let variables = set.agent_variables.iter().flatten().map(|(name, value)| format!("{name}={value}"));
    let variables: Vec<String> = variables.collect();
    // What has lines of its own does not fit into lines.
    let parts = set
        .automatic_texts
        .iter()
        .flatten()
        .chain(set.agent_variables.iter().flatten().flat_map(|(name, value)| [name, value]));
    let fits = parts.clone().all(|text| !text.contains(['\n', '\r']) && text.trim() == text)
        && set.agent_variables.iter().flatten().all(|(name, _)| !name.contains('='));
    let effective = connection.effective.as_ref();
    let usual =
        |of: fn(&EffectiveSettings) -> u32| effective.map(|all| of(all).to_string()).unwrap_or_default();
    let action = format!("{BASE}/accounts/{}/settings", connection.connection_id);
    html! {
        details class="settings" open[is_open] {
            summary { (text::SETTINGS) }
            form method="post" action=(action) data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                div class="fields" {
                    label {
                        (text::DEBOUNCE)
                        input name="debounce_ms" inputmode="numeric" value=[set.debounce_ms]
                            placeholder=(usual(|all| all.debounce_ms));
                    }
                    label {
                        (text::TAKEOVER)
                        input name="takeover_hours" inputmode="numeric" value=[set.takeover_hours]
                            placeholder=(usual(|all| all.takeover_hours));
                    }
                    label { (text::TYPING) (choice("typing", set.typing, true)) }
                    label {
                        (text::WRITING)
                        input name="writing_ms_per_character" inputmode="numeric"
                            value=[set.writing_ms_per_character]
                            placeholder=(usual(|all| all.writing_ms_per_character));
                    }
                    label { (text::HUMAN_AGENT) (choice("human_agent", set.human_agent, false)) }
                }
                (what_to_say("fallback_text", text::FALLBACK_TEXT, set.fallback_text.as_deref()))
                (what_to_say("unreadable_text", text::UNREADABLE_TEXT, set.unreadable_text.as_deref()))
                @if fits {
                    label {
                        (text::AUTOMATIC_TEXTS)
                        textarea name="automatic_texts" rows="2" { (texts) }
                    }
                    label {
                        (text::AGENT_VARIABLES)
                        textarea name="agent_variables" rows="2" { (variables.join("\n")) }
                    }
                } @else {
                    p class="quiet" { (text::SEVERAL_LINES) }
                }
                p class="quiet" { (text::EMPTY_FIELDS) }
                button class="take" { (text::SAVE) }
            }
        }
    }
}

/// A text that customers get when something goes wrong.
fn what_to_say(name: &str, label: &str, value: Option<&str>) -> Markup {
    html! {
        label {
            (label)
            textarea name=(name) rows="2" maxlength="1000" placeholder=(text::NO_TEXT) {
                (value.unwrap_or_default())
            }
        }
    }
}

/// On, off, or as the operator has it.
fn choice(name: &str, value: Option<bool>, usual: bool) -> Markup {
    html! {
        select name=(name) {
            option value="" selected[value.is_none()] { (text::default(usual)) }
            option value="true" selected[value == Some(true)] { (text::ON) }
            option value="false" selected[value == Some(false)] { (text::OFF) }
        }
    }
}

/// A form of one button; a dangerous one wants the handle typed.
fn button(person: &Person, action: &str, label: &str, is_main: bool, handle: Option<&str>) -> Markup {
    html! {
        form method="post" action=(action) data-post {
            input type="hidden" name="csrf" value=(person.csrf);
            @if let Some(handle) = handle {
                label {
                    (fill(text::DISCONNECT_CONFIRM, &html! { strong { (handle) } }))
                    input name="handle" required autocomplete="off";
                }
            }
            button class=[is_main.then_some("take")] { (label) }
        }
    }
}

fn connect(person: &Person, agents: &[String], logins: &[Login]) -> Markup {
    html! {
        section class="connect" {
            h2 { (text::CONNECT) }
            p { (text::CONNECT_HINT) }
            form method="post" action={ (BASE) "/accounts/connect" } {
                input type="hidden" name="csrf" value=(person.csrf);
                label {
                    (text::FIRST_AGENT)
                    input name="agent" list="agents" required maxlength="128" value=[agents.first()]
                        autocomplete="off";
                }
                datalist id="agents" { @for agent in agents { option value=(agent) {} } }
                div class="acts" {
                    @for (word, name) in logins {
                        button class="take" name="login" value=(word) { (text::log_in_with(name)) }
                    }
                }
            }
        }
    }
}
