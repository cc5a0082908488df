//! The frame of every page.

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

    fn address(self) -> String {
        format!("{BASE}/{}", self.word())
    }
}

/// A page with the navigation of the console.
pub fn shell(tab: Tab, person: &Person, body: &Markup) -> Markup {
    let role = text::role(person.role.as_str(), &person.subaccount);
    let body = html! {
        body data-csrf=(person.csrf) data-live={ (BASE) "/live" } data-since=(person.since) {
            a class="skip" href="#main" { (text::SKIP) }
            p id="offline" role="status" { (text::OFFLINE) }
            header class="bar" {
                a class="brand" href={ (BASE) "/inbox" } aria-label=(words::PRODUCT) {
                    img src=(assets::address("icon.svg")) alt="" width="28" height="28";
                    span { (words::PRODUCT) }
                }
                nav aria-label=(text::NAVIGATION) {
                    @for one in Tab::ALL.into_iter().filter(|one| one.is_for(person)) {
                        a href=(one.address()) aria-current=[(one == tab).then_some("page")] { (one.name()) }
                    }
                    a href="/api/docs/" { (text::API) }
                }
                div class="who" {
                    span class="name" title=(role) { (person.name) }
                    form method="post" action={ (BASE) "/sign-out" } {
                        input type="hidden" name="csrf" value=(person.csrf);
                        button class="quiet" { (text::SIGN_OUT) }
                    }
                }
            }
            (body)
            div id="dialogs" {}
        }
    };
    document(tab.name(), &body)
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
            data-error=(scripts::ERROR)
            data-go-to=(scripts::GO_TO)
            data-go-to-hint=(scripts::GO_TO_HINT)
            data-search-for=(scripts::SEARCH_FOR) {
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
