//! The HTML of the consent pages.

use maud::{DOCTYPE, Markup, html};

use super::MetaApp;
use crate::world::World;
use crate::world::account::{Account, LoginKind};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;background:#f0f2f5;color:#1c1e21;margin:0}\
main{max-width:26rem;margin:3rem auto;background:#fff;border-radius:12px;padding:1.5rem 2rem;box-shadow:0 1px 4px #0002}\
h1{font-size:1.2rem;margin-top:0}fieldset{border:1px solid #ccd0d5;border-radius:8px;margin:1rem 0}label{display:block}\
code{font-size:.85em}small{color:#606770}button{font:inherit;padding:.5rem 1.5rem;border-radius:8px;border:1px solid #ccd0d5;background:#fff}\
button[value=allow]{background:#0866ff;border-color:#0866ff;color:#fff}";

/// Asks whether the app may do this with the accounts of the person.
pub(super) fn consent(world: &World, login: LoginKind, app: &MetaApp, scopes: &[String]) -> String {
    let mut accounts: Vec<&Account> =
        world.accounts.values().filter(|account| account.login == login).collect();
    accounts.sort_by(|a, b| a.username.cmp(&b.username));
    let product = match login {
        LoginKind::Instagram => "Instagram",
        LoginKind::Facebook => "Facebook",
    };
    let body = html! {
        form method="post" {
            h1 { (app.name) " wants to access your " (product) " account" }
            p { small { "This is the simulator: everybody is logged in here already, as all of these." } }
            fieldset {
                @if login == LoginKind::Instagram {
                    legend { "Account" }
                    @for (n, account) in accounts.iter().enumerate() {
                        label {
                            input type="radio" name="account" value=(account.id) checked[n == 0];
                            " @" (account.username)
                        }
                    }
                } @else {
                    legend { "Pages" }
                    @for account in &accounts {
                        label {
                            input type="checkbox" name="account" value=(account.id) checked;
                            " " (account.name) " " small { "(@" (account.username) ")" }
                        }
                    }
                    @for page in &world.settings.login.unlinked_pages {
                        label {
                            input type="checkbox" name="page" value=(page.id) checked;
                            " " (page.name) " " small { "(no Instagram account)" }
                        }
                    }
                }
            }
            fieldset {
                legend { "It may" }
                @for scope in scopes {
                    label { input type="checkbox" name="scope" value=(scope) checked; " " code { (scope) } }
                }
            }
            button type="submit" name="decision" value="cancel" { "Cancel" }
            " "
            button type="submit" name="decision" value="allow" { "Allow" }
        }
    };
    whole("Log in", &body)
}

/// Says why nobody is asked.
pub(super) fn error(why: &str) -> String {
    whole(
        "Sorry, this page isn't available",
        &html! { h1 { "Sorry, this page isn't available" } p { (why) } },
    )
}

fn whole(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – simulated Meta" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}
