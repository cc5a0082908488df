//! The API keys of a subaccount.

use crate::page::{curl, fill};
use crate::words::{self, keys as text};
use crate::{BASE, Person};
use dmrelay_domain::permission::Role;
use dmrelay_views::ApiKeyView;
use maud::{Markup, html};

/// The page's panes.
pub fn keys(person: &Person, keys: &[ApiKeyView]) -> Markup {
    html! {
        main id="main" class="sheet" {
            h1 { (words::KEYS) }
            p class="quiet" { (text::HINT) }
            form class="connect" method="post" action={ (BASE) "/keys" } data-post {
                input type="hidden" name="csrf" value=(person.csrf);
                h2 { (text::NEW_KEY) }
                div class="fields" {
                    label {
                        (text::NAME)
                        input name="name" required maxlength="100" autocomplete="off"
                            placeholder=(text::NAME_EXAMPLE);
                    }
                    label {
                        (text::ROLE)
                        select name="role" {
                            @for role in Role::ALL { option value=(role.as_str()) { (text::role(*role)) } }
                        }
                    }
                    label {
                        (text::VALID_DAYS)
                        input name="days" type="number" min="1" max="3650" value="90" required;
                    }
                }
                button class="take" { (text::CREATE) }
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
        div class="wide" id="keys" tabindex="0" role="region" aria-label=(words::KEYS) {
            table {
                thead {
                    tr {
                        th { (text::NAME) }
                        th { (text::ROLE) }
                        th { (text::CREATED_BY) }
                        th { (text::LAST_USED) }
                        th { (text::EXPIRES) }
                        th { span class="skip" { (text::REVOKE) } }
                    }
                }
                tbody {
                    @for key in keys { (row(person, key)) }
                    @if keys.is_empty() { tr { td colspan="6" { (text::NO_KEYS) } } }
                }
            }
        }
    }
}

fn row(person: &Person, key: &ApiKeyView) -> Markup {
    html! {
        tr {
            th scope="row" { (key.name) }
            td { (key.role) }
            td { (key.created_by.as_deref().unwrap_or("–")) }
            td { (moment(key.last_used_at.as_deref())) }
            td { (moment(key.expires_at.as_deref())) }
            td {
                @if key.revoked_at.is_some() { span class="pill failed" { (text::REVOKED) } }
                @else {
                    form method="post" action={ (BASE) "/keys/" (key.key_id) "/revoke" } data-post
                        data-confirm=(text::confirm_revoke(&key.name)) {
                        input type="hidden" name="csrf" value=(person.csrf);
                        button class="small" aria-label=(text::revoke(&key.name)) { (text::REVOKE) }
                    }
                }
            }
        }
    }
}

fn moment(at: Option<&str>) -> Markup {
    html! { @match at { Some(at) => time datetime=(at) data-ago { (at) }, None => (text::NEVER) } }
}

/// A new key, as a fragment: nobody can see it again.
pub fn made(name: &str, key: &str) -> Markup {
    html! {
        p id="new-key" role="status" class="made" {
            (fill(text::CREATED, &html! { strong { (name) } })) " "
            code { (key) }
        }
    }
}
