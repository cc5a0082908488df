//! The customer's phone of the demo: one writes as a customer, and sees what the customer sees.

use crate::{BASE, Person};
use maud::{Markup, html};

/// What the customer sees: who wrote, and what.
pub struct Phone<'a> {
    /// Who looks.
    pub person: &'a Person,
    /// The handle of the business's account.
    pub account: &'a str,
    /// The messages, oldest first: whether the customer wrote it, and its text.
    pub messages: &'a [(bool, String)],
}

/// The phone, as a fragment.
pub fn phone(phone: &Phone<'_>) -> Markup {
    html! {
        aside class="phone" id="phone" aria-label="The customer's phone (demo)" {
            p class="caption" { "You as a customer" small { "Simulated: nothing of this reaches Instagram." } }
            div class="device" {
                p class="to" { "@" (phone.account) }
                ol id="phone-messages" {
                    @if phone.messages.is_empty() { li class="hint" { "Write to the business and watch it answer." } }
                    @for (is_customers, text) in phone.messages {
                        li class=[is_customers.then_some("mine")] { (text) }
                    }
                }
                form method="post" action={ (BASE) "/demo/say" } data-post data-clear {
                    input type="hidden" name="csrf" value=(phone.person.csrf);
                    input id="phone-text" name="text" placeholder="Message…" aria-label="Message as the customer" required
                        maxlength="1000" autocomplete="off";
                    button { "Send" }
                }
            }
        }
    }
}
