//! The frame of every page.

use crate::{BASE, assets, words};
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
    /// The accounts.
    Accounts,
    /// How it goes.
    Overview,
    /// What was done.
    Activity,
    /// The API keys.
    Keys,
}

impl Tab {
    const ALL: [Self; 6] =
        [Self::Inbox, Self::Failed, Self::Accounts, Self::Overview, Self::Activity, Self::Keys];

    fn name(self) -> &'static str {
        match self {
            Self::Inbox => words::INBOX,
            Self::Failed => words::FAILED,
            Self::Accounts => words::ACCOUNTS,
            Self::Overview => words::OVERVIEW,
            Self::Activity => words::ACTIVITY,
            Self::Keys => words::KEYS,
        }
    }

    /// Whether the page is of use to whoever looks.
    fn is_for(self, person: &Person) -> bool {
        self != Self::Keys || person.may(Permission::ManageKeys)
    }

    fn address(self) -> String {
        format!("{BASE}/{}", self.name().to_lowercase())
    }
}

/// A page with the navigation of the console.
pub fn shell(tab: Tab, person: &Person, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(tab.name()))
            body data-csrf=(person.csrf) data-live={ (BASE) "/live" } data-since=(person.since) {
                a class="skip" href="#main" { "Skip to the conversations" }
                p id="offline" role="status" { (words::OFFLINE) }
                header class="bar" {
                    a class="brand" href={ (BASE) "/inbox" } aria-label=(words::PRODUCT) {
                        img src=(assets::address("icon.svg")) alt="" width="28" height="28";
                        span { (words::PRODUCT) }
                    }
                    nav aria-label="Console" {
                        @for one in Tab::ALL.into_iter().filter(|one| one.is_for(person)) {
                            a href=(one.address()) aria-current=[(one == tab).then_some("page")] { (one.name()) }
                        }
                        a href="/api/docs/" { (words::API) }
                    }
                    div class="who" {
                        span class="name" title={ (person.role.as_str()) " of " (person.subaccount) } { (person.name) }
                        form method="post" action={ (BASE) "/sign-out" } {
                            input type="hidden" name="csrf" value=(person.csrf);
                            button class="quiet" { (words::SIGN_OUT) }
                        }
                    }
                }
                (body)
                div id="dialogs" {}
            }
        }
    }
}

/// A page that leads elsewhere, to a place with a name: the policy of forms does not let them end at another site.
pub fn leave_to(url: &str, place: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0; url=" (url) };
                title { (words::LEAVING) }
                link rel="icon" href=(assets::address("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::address("console.css"));
            }
            body class="enter" {
                main { h1 { (words::LEAVING) } p { a href=(url) { "Continue to " (place) } } }
            }
        }
    }
}

/// How what a page shows is had over REST.
pub(crate) fn curl(person: &Person, path: &str) -> Markup {
    html! {
        details class="curl" {
            summary { "Over REST" }
            pre tabindex="0" { code {
                "curl -H \"Authorization: Bearer $DMRELAY_API_KEY\" \\\n  '" (person.api) "/api/database/" (person.subaccount) "/" (path) "'"
            } }
        }
    }
}

pub(crate) fn head(title: &str) -> Markup {
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
