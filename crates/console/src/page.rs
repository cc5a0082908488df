//! The frame of every page.

use crate::icons::{self, icon};
use crate::words::{self, page as text, scripts};
use crate::{BASE, assets};
use dmrelay_domain::permission::{Permission, Role};
use maud::{DOCTYPE, Markup, html};
use uuid::Uuid;

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// The subaccount they work for.
    pub subaccount: String,
    /// What forms must carry.
    pub csrf: String,
    /// Where the REST API is, without a slash at the end.
    pub api: String,
    /// The id that events have from when the page was begun.
    pub since: Uuid,
}

impl Person {
    /// Whether their role includes it.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }
}

/// A page of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// The conversations.
    Inbox,
    /// What failed.
    Failed,
    /// The saved messages.
    Templates,
    /// Messages for many.
    Broadcasts,
    /// Comments on posts.
    Comments,
    /// The accounts.
    Accounts,
    /// How it goes.
    Overview,
    /// What was done.
    Activity,
    /// Who is told what is wrong.
    Notifications,
    /// The API keys.
    Keys,
}

impl Tab {
    const ALL: [Self; 10] = [
        Self::Inbox,
        Self::Failed,
        Self::Comments,
        Self::Templates,
        Self::Broadcasts,
        Self::Accounts,
        Self::Overview,
        Self::Activity,
        Self::Notifications,
        Self::Keys,
    ];

    /// What the navigation calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Inbox => words::INBOX,
            Self::Failed => words::FAILED,
            Self::Templates => words::TEMPLATES,
            Self::Broadcasts => words::BROADCASTS,
            Self::Comments => words::COMMENTS,
            Self::Accounts => words::ACCOUNTS,
            Self::Overview => words::OVERVIEW,
            Self::Activity => words::ACTIVITY,
            Self::Notifications => words::NOTIFICATIONS,
            Self::Keys => words::KEYS,
        }
    }

    /// Its word in the address.
    fn word(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Failed => "failed",
            Self::Templates => "templates",
            Self::Broadcasts => "broadcasts",
            Self::Comments => "comments",
            Self::Accounts => "accounts",
            Self::Overview => "overview",
            Self::Activity => "activity",
            Self::Notifications => "notifications",
            Self::Keys => "keys",
        }
    }

    /// Whether the page is of use to whoever looks.
    fn is_for(self, person: &Person) -> bool {
        match self {
            Self::Keys => person.may(Permission::ManageKeys),
            Self::Notifications => person.may(Permission::Notify),
            _ => true,
        }
    }

    /// Its drawing.
    fn icon(self) -> &'static str {
        match self {
            Self::Inbox => icons::INBOX,
            Self::Failed => icons::FAILED,
            Self::Templates => icons::TEMPLATES,
            Self::Broadcasts => icons::BROADCASTS,
            Self::Comments => icons::COMMENTS,
            Self::Accounts => icons::ACCOUNTS,
            Self::Overview => icons::OVERVIEW,
            Self::Activity => icons::ACTIVITY,
            Self::Notifications => icons::NOTIFICATIONS,
            Self::Keys => icons::KEYS,
        }
    }

    /// Whether a narrow window shows it before anything is opened.
    fn is_first(self) -> bool {
        matches!(self, Self::Inbox | Self::Failed | Self::Comments | Self::Overview)
    }

    fn address(self) -> String {
        format!("{BASE}/{}", self.word())
    }
}

/// A page with the navigation of the console.
pub fn shell(tab: Tab, person: &Person, body: &Markup) -> Markup {
    framed(Some(tab), tab.name(), person, body)
}

/// What went wrong, as a page: the headline, what is known of it, and where to go from there.
pub fn trouble(person: Option<&Person>, status: u16, told: &str) -> Markup {
    let headline = text::headline(status);
    let body = html! {
        h1 { (headline) }
        p role="alert" { (told) }
        p { a class="button" href={ (BASE) "/inbox" } { (text::TO_INBOX) } }
    };
    match person {
        Some(person) => {
            framed(None, headline, person, &html! { main id="main" class="sheet lost" { (body) } })
        }
        None => document(headline, &html! { body class="enter" { main { (body) } } }),
    }
}

fn framed(tab: Option<Tab>, title: &str, person: &Person, body: &Markup) -> Markup {
    let body = html! {
        body data-csrf=(person.csrf) data-name=(person.name) data-subaccount=(person.subaccount) data-live={ (BASE) "/live" } data-since=(person.since) {
            a class="skip" href="#main" { (text::SKIP) }
            p id="offline" role="status" { (text::OFFLINE) }
            (navigation(tab, person))
            (body)
            div id="dialogs" {}
            div id="notices" {}
        }
    };
    document(title, &body)
}

/// The pages at the side, or below them in a narrow window, which shows some and opens the others.
fn navigation(tab: Option<Tab>, person: &Person) -> Markup {
    let pages = |is_wanted: fn(Tab) -> bool| {
        html! {
            @for one in Tab::ALL.into_iter().filter(|one| one.is_for(person) && is_wanted(*one)) {
                a href=(one.address()) class=[(!one.is_first()).then_some("later")]
                    aria-current=[(Some(one) == tab).then_some("page")] { (icon(one.icon())) span { (one.name()) } }
            }
        }
    };
    let api = html! { a href="/api/docs/" class="later" { (icon(icons::API)) span { (text::API) } } };
    let is_later = tab.is_some_and(|tab| !tab.is_first());
    html! {
        header class="bar" {
            a class="brand" href={ (BASE) "/inbox" } aria-label=(words::PRODUCT) {
                img src=(assets::address("icon.svg")) alt="" width="32" height="32";
            }
            nav id="pages" aria-label=(text::NAVIGATION) {
                (pages(|_| true))
                (api)
                button class={ "rest" @if is_later { " current" } } type="button" popovertarget="rest" {
                    (icon(icons::REST)) span { (text::REST) }
                }
            }
            (who(person))
        }
        div id="rest" popover {
            nav aria-label=(text::REST) { (pages(|one| !one.is_first())) (api) }
            (who(person))
        }
    }
}

/// Who is signed in.
fn who(person: &Person) -> Markup {
    let role = text::role(person.role.as_str(), &person.subaccount);
    html! {
        div class="who" {
            span class="name" title=(role) { (person.name) }
            form method="post" action={ (BASE) "/sign-out" } {
                input type="hidden" name="csrf" value=(person.csrf);
                button class="quiet" { (text::SIGN_OUT) }
            }
        }
    }
}

/// A page that leads elsewhere, to a place with a name: the policy of forms does not let them end at another
/// site.
pub fn leave_to(url: &str, place: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(words::LANGUAGE) {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0; url=" (url) };
                title { (text::LEAVING) }
                link rel="icon" href=(assets::address("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::address("console.css"));
            }
            body class="enter" {
                main { h1 { (text::LEAVING) } p { a href=(url) { (text::continue_to(place)) } } }
            }
        }
    }
}

/// How what a page shows is had over REST.
pub(crate) fn curl(person: &Person, path: &str) -> Markup {
    let address = format!("{}/api/database/{}/{path}", person.api, person.subaccount);
    let command = format!("curl -H \"Authorization: Bearer $DMRELAY_API_KEY\" \\\n  '{address}'");
    html! {
        details class="curl" {
            summary { (text::OVER_REST) }
            pre tabindex="0" { code { (command) } }
        }
    }
}

/// The path of a call that belongs to an agent.
pub(crate) fn of_agent(agent: &str, path: &str) -> String {
    format!("chat-agents/{agent}/instagram/{path}")
}

/// A sentence of `words` with an element in the place of its `{}`.
pub(crate) fn fill(sentence: &str, element: &Markup) -> Markup {
    let (before, after) = sentence.split_once("{}").unwrap_or((sentence, ""));
    html! { (before) (element) (after) }
}

/// A document with our scripts, and with what they say on any page.
pub(crate) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(words::LANGUAGE)
            data-today=(scripts::TODAY)
            data-hours=(scripts::HOURS)
            data-minutes=(scripts::MINUTES)
            data-left=(scripts::LEFT)
            data-ago=(scripts::AGO)
            data-error=(scripts::ERROR)
            data-go-to=(scripts::GO_TO)
            data-go-to-hint=(scripts::GO_TO_HINT)
            data-search-for=(scripts::SEARCH_FOR)
            data-ok=(scripts::OK)
            data-cancel=(scripts::CANCEL)
            data-close=(words::CLOSE)
            data-signed-out=(scripts::SIGNED_OUT)
            data-sign-in=(scripts::SIGN_IN) {
            (head(title))
            (body)
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="robots" content="noindex";
            meta name="color-scheme" content="light dark";
            title { (title) " · " (words::PRODUCT) }
            link rel="icon" href=(assets::address("icon.svg")) type="image/svg+xml";
            link rel="stylesheet" href=(assets::address("console.css"));
            @for script in ["fragments.js", "composer.js", "keys.js"] {
                script type="module" src=(assets::address(script)) {}
            }
        }
    }
}
