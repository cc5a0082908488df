//! The page on which people sign in.

use crate::page::head;
use crate::{BASE, assets, words};
use maud::{DOCTYPE, Markup, html};

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
    html! {
        (DOCTYPE)
        html lang="en" {
            (head("Sign in"))
            body class="enter" {
                main id="main" {
                    img src=(assets::address("icon.svg")) alt="" width="48" height="48";
                    h1 { "Sign in to " (words::PRODUCT) }
                    @if let Some(problem) = &page.problem { p class="problem" role="alert" { (problem) } }
                    @if let Some(with) = &page.with {
                        form method="get" action={ (BASE) "/oidc" } {
                            input type="hidden" name="next" value=(page.next);
                            details {
                                summary { "I work for several subaccounts" }
                                label for="of" { "Subaccount" }
                                input id="of" name="subaccount" maxlength="64" autocomplete="off";
                            }
                            button { "Sign in with " (with) }
                        }
                        p class="or" { "or with an API key" }
                    }
                    form method="post" action={ (BASE) "/sign-in" } {
                        input type="hidden" name="next" value=(page.next);
                        input type="hidden" name="csrf" value=(page.csrf);
                        label for="name" { "Your name" }
                        input id="name" name="name" value=(page.name) required maxlength="100" autocomplete="name"
                            aria-describedby="name-hint";
                        small id="name-hint" { "Colleagues see it next to what you write and do." }
                        label for="key" { "API key" }
                        input id="key" name="key" type="password" required autocomplete="current-password"
                            aria-describedby="key-hint";
                        small id="key-hint" { "An API key of your subaccount. You have the same permissions as the key." }
                        details {
                            summary { "I use the operator's bootstrap key" }
                            label for="subaccount" { "Subaccount" }
                            input id="subaccount" name="subaccount" maxlength="64" autocomplete="off";
                        }
                        button { "Sign in" }
                    }
                }
            }
        }
    }
}
