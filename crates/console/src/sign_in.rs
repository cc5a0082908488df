//! The page on which people sign in.

use crate::page::document;
use crate::words::sign_in as text;
use crate::{BASE, assets};
use maud::{Markup, html};

/// What the page says.
#[derive(Debug, Default)]
pub struct SignIn {
    /// What went wrong.
    pub problem: Option<String>,
    /// The name that was typed.
    pub name: String,
    /// Where to go afterwards.
    pub next: String,
    /// What the form must carry.
    pub csrf: String,
    /// The name of the identity provider, if there is one.
    pub with: Option<String>,
}

/// The page.
pub fn sign_in(page: &SignIn) -> Markup {
    let body = html! {
        body class="enter" {
            main id="main" {
                img src=(assets::address("icon.svg")) alt="" width="48" height="48";
                h1 { (text::heading()) }
                @if let Some(problem) = &page.problem { p class="problem" role="alert" { (problem) } }
                @if let Some(with) = &page.with {
                    form method="get" action={ (BASE) "/oidc" } {
                        input type="hidden" name="next" value=(page.next);
                        details {
                            summary { (text::SEVERAL_SUBACCOUNTS) }
                            label for="of" { (text::SUBACCOUNT) }
                            input id="of" name="subaccount" maxlength="64" autocomplete="off";
                        }
                        button { (text::sign_in_with(with)) }
                    }
                    p class="or" { (text::OR_WITH_KEY) }
                }
                (with_key(page))
            }
        }
    };
    document(text::SIGN_IN, &body)
}

fn with_key(page: &SignIn) -> Markup {
    html! {
        form method="post" action={ (BASE) "/sign-in" } {
            input type="hidden" name="next" value=(page.next);
            input type="hidden" name="csrf" value=(page.csrf);
            label for="name" { (text::NAME) }
            input id="name" name="name" value=(page.name) required maxlength="100" autocomplete="name"
                aria-describedby="name-hint";
            small id="name-hint" { (text::NAME_HINT) }
            label for="key" { (text::KEY) }
            input id="key" name="key" type="password" required autocomplete="current-password"
                aria-describedby="key-hint";
            small id="key-hint" { (text::KEY_HINT) }
            details {
                summary { (text::BOOTSTRAP_KEY) }
                label for="subaccount" { (text::SUBACCOUNT) }
                input id="subaccount" name="subaccount" maxlength="64" autocomplete="off";
            }
            button { (text::SIGN_IN) }
        }
    }
}
