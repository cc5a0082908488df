//! The connected accounts: whether they work, and what to do if not.

use crate::{BASE, Person, words};
use dmrelay_domain::permission::Permission;
use dmrelay_views::{ConnectionView, EffectiveSettings, EntryPoints, HealthView};
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
    (accounts, next): (&[Account], Option<&str>),
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
            @if let Some(next) = next { a class="more" href=(next) { (words::MORE) } }
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
                    @if person.may(Permission::Configure) {
                        a class="button" href={ (BASE) "/accounts/" (id) "/profile" } data-show { "Ice breakers and menu" }
                        (settings(person, connection))
                    }
                    @if person.may(Permission::Connect) {
                        details class="settings" {
                            summary { "Another agent" }
                            form method="post" action=(act("agent")) data-post {
                                input type="hidden" name="csrf" value=(person.csrf);
                                label { "Agent that answers from now on" input name="agent" list="agents" required maxlength="128" autocomplete="off"; }
                                p class="quiet" { "Conversations go on with it; it is told what was said." }
                                button { "Change agent" }
                            }
                        }
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

/// The settings of an account, with what holds where a field is empty.
fn settings(person: &Person, connection: &ConnectionView) -> Markup {
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
    html! {
        details class="settings" {
            summary { "Settings" }
            form method="post" action={ (BASE) "/accounts/" (connection.connection_id) "/settings" } data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                div class="fields" {
                    label { "Wait for more messages, in ms" input name="debounce_ms" inputmode="numeric" value=[set.debounce_ms] placeholder=(usual(|all| all.debounce_ms)); }
                    label { "Bot stays silent after a human writes, in hours" input name="takeover_hours" inputmode="numeric" value=[set.takeover_hours] placeholder=(usual(|all| all.takeover_hours)); }
                    label { "Typing indicator" (choice("typing", set.typing, "on")) }
                    label { "Human Agent feature" (choice("human_agent", set.human_agent, "off")) }
                }
                label { "If the bot fails, say" textarea name="fallback_text" rows="2" maxlength="1000" placeholder="nothing" { (set.fallback_text.as_deref().unwrap_or_default()) } }
                label { "If something cannot be read, say" textarea name="unreadable_text" rows="2" maxlength="1000" placeholder="nothing" { (set.unreadable_text.as_deref().unwrap_or_default()) } }
                @if fits {
                    label { "Texts Instagram sends automatically, one per line" textarea name="automatic_texts" rows="2" { (texts) } }
                    label { "Variables of the agent, as name=value, one per line" textarea name="agent_variables" rows="2" { (variables.join("\n")) } }
                } @else {
                    p class="quiet" { "The texts Instagram sends automatically and the variables of the agent have several lines: change them over REST." }
                }
                p class="quiet" { "Empty fields use the operator's defaults." }
                button class="take" { "Save" }
            }
        }
    }
}

/// On, off, or as the operator has it.
fn choice(name: &str, value: Option<bool>, usual: &str) -> Markup {
    html! {
        select name=(name) {
            option value="" selected[value.is_none()] { "default (" (usual) ")" }
            option value="true" selected[value == Some(true)] { "on" }
            option value="false" selected[value == Some(false)] { "off" }
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
                    "Type " strong { (handle) } " to confirm. The history is kept; messages are no longer answered."
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
