//! The API keys of a subaccount.

use crate::page::curl;
use crate::{BASE, Person, words};
use dmrelay_domain::permission::Role;
use dmrelay_views::ApiKeyView;
use maud::{Markup, html};

/// The page's panes.
pub fn keys(person: &Person, keys: &[ApiKeyView]) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::KEYS) }
            p class="quiet" { "Your backend uses a key to call the REST API; colleagues use one to sign in here. The role sets what a key may do." }
            form class="connect" method="post" action={ (BASE) "/keys" } data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                h2 { "New key" }
                div class="fields" {
                    label { "Name" input name="name" required maxlength="100" autocomplete="off" placeholder="frontend"; }
                    label { "Role" select name="role" { @for role in Role::ALL { option value=(role.as_str()) { (words::role(*role)) } } } }
                    label { "Valid for, in days" input name="days" type="number" min="1" max="3650" value="90" required; }
                }
                button class="take" { "Create" }
            }
            p id="new-key" role="status" {}
            (list(person, keys))
            (curl(person, "api-keys"))
        }
    }
}

/// The keys, as a fragment.
pub fn list(person: &Person, keys: &[ApiKeyView]) -> Markup {
    html! {
        div class="wide" id="keys" {
            table {
                thead { tr { th { "Name" } th { "Role" } th { "Created by" } th { "Last used" } th { "Expires" } th { span class="skip" { "Revoke" } } } }
                tbody {
                    @for key in keys {
                        tr {
                            th scope="row" { (key.name) }
                            td { (key.role) }
                            td { (key.created_by.as_deref().unwrap_or("–")) }
                            td { @match &key.last_used_at { Some(at) => time datetime=(at) data-ago { (at) }, None => "never" } }
                            td { @match &key.expires_at { Some(at) => time datetime=(at) data-ago { (at) }, None => "never" } }
                            td {
                                @if key.revoked_at.is_some() { span class="pill failed" { "revoked" } }
                                @else {
                                    form method="post" action={ (BASE) "/keys/" (key.key_id) "/revoke" } data-post data-confirm={ "Revoke the key " (key.name) "? Whoever uses it is locked out at once." } {
                                        input type="hidden" name="csrf" value=(person.csrf);
                                        button class="small" aria-label={ "Revoke " (key.name) } { "Revoke" }
                                    }
                                }
                            }
                        }
                    }
                    @if keys.is_empty() { tr { td colspan="6" { "There is no key yet." } } }
                }
            }
        }
    }
}

/// A new key, as a fragment: nobody can see it again.
pub fn made(name: &str, key: &str) -> Markup {
    html! {
        p id="new-key" role="status" class="made" {
            "The key " strong { (name) } ". Copy it now: it is not shown again. "
            code { (key) }
        }
    }
}
