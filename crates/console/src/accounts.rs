//! The connected accounts: whether they work, and what to do if not.

use crate::{BASE, Person, words};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ConnectionView, EntryPoints, HealthView};
use maud::{Markup, html};

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

/// The page's panes. `agents` are those that accounts can be connected to.
pub fn accounts(
    person: &Person,
    accounts: &[Account],
    (agents, logins): (&[String], &[Login]),
    outcome: Option<(&str, Option<&str>)>,
) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::ACCOUNTS) }
            @if let Some((status, error)) = outcome {
                p class=[(status != "connected").then_some("problem")] role="status" { (words::connect_outcome(status, error)) }
            }
            ul class="cards" { @for account in accounts { (card(person, account)) } }
            @if accounts.is_empty() {
                div class="nothing" { p class="big" { "No account is connected yet." } p { "Connect one to see its conversations." } }
            }
            @if person.may(Permission::Connect) && !logins.is_empty() { (connect(person, agents, logins)) }
        }
    }
}

/// An account, as a fragment.
pub fn card(person: &Person, account: &Account) -> Markup {
    let Account { connection, health, links } = account;
    let id = connection.connection_id;
    let handle = connection.username.as_deref().unwrap_or(&connection.instagram_account_id);
    let is_live = connection.status != "disconnected";
    let act = |verb: &str| format!("{BASE}/accounts/{id}/{verb}");
    html! {
        li class="card" id={ "account-" (id) } {
            header {
                h2 { "@" (handle) }
                span class={ "pill status " (connection.status) } { (words::connection(&connection.status)) }
                @if connection.bot_paused { span class="pill paused" { "Bot paused" } }
            }
            @if let Some(reason) = &connection.status_reason { p class="quiet" { (reason) } }
            dl {
                dt { "Agent" } dd class="code" { (connection.agent_id) }
                dt { "Last event" } dd { @match &connection.last_event_at { Some(at) => time datetime=(at) data-ago { (at) }, None => "none yet" } }
                @if let Some(at) = &connection.token_expires_at { dt { "Token until" } dd { time datetime=(at) data-day { (at) } } }
            }
            @if is_live {
                ul class="checks" {
                    @for check in &health.checks {
                        li class={ "check " (check.state) } {
                            span class="dot" aria-hidden="true" {}
                            details open[check.state == "failing" || check.state == "warning"] {
                                summary { (words::check(&check.check)) " " span class="quiet" { (words::check_state(&check.state)) } }
                                p { (check.message) }
                            }
                        }
                    }
                }
                @if let Some(links) = links {
                    div class="entry" {
                        @for (what, link, name) in [("direct_message", &links.direct_message, "Write to us"), ("profile", &links.profile, "Profile")] {
                            figure {
                                img src={ (BASE) "/accounts/" (id) "/qr?link=" (what) } alt={ "QR code: " (link) } width="112" height="112" loading="lazy";
                                figcaption {
                                    a href=(link) rel="noreferrer" { (name) } br;
                                    a href={ (BASE) "/accounts/" (id) "/qr?link=" (what) "&format=png" } download={ (handle) "-" (what) ".png" } { "PNG" } " · "
                                    a href={ (BASE) "/accounts/" (id) "/qr?link=" (what) } download={ (handle) "-" (what) ".svg" } { "SVG" }
                                }
                            }
                        }
                    }
                }
                div class="acts" {
                    @if person.may(Permission::Connect) { (button(person, &act("check"), "Check now", false, None)) }
                    @if person.may(Permission::Configure) {
                        @if connection.bot_paused { (button(person, &act("resume"), "Let the bot answer", true, None)) }
                        @else { (button(person, &act("pause"), "Pause the bot", false, None)) }
                    }
                    @if person.may(Permission::Connect) {
                        details class="danger" {
                            summary { "Disconnect…" }
                            (button(person, &act("disconnect"), "Disconnect", false, Some(handle)))
                        }
                    }
                }
            }
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
                    "Type " strong { (handle) } " to confirm. The history stays; nothing is answered any more."
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
            h2 { "Connect an account" }
            p { "You log in at Meta as the owner of the account, and come back here." }
            form method="post" action={ (BASE) "/accounts/connect" } {
                input type="hidden" name="csrf" value=(person.csrf);
                label { "Agent that answers" input name="agent" list="agents" required maxlength="128" value=[agents.first()] autocomplete="off"; }
                datalist id="agents" { @for agent in agents { option value=(agent) {} } }
                div class="acts" {
                    @for (word, name) in logins { button class="take" name="login" value=(word) { "Log in with " (name) } }
                }
            }
        }
    }
}
