//! QR codes to print: for a counter, a parcel, a window.

use crate::words::{self, accounts as text};
use crate::{BASE, assets};
use maud::{DOCTYPE, Markup, html};
use uuid::Uuid;

/// What is printed of an account: its connection, and its handle.
pub type Printed = (Uuid, String);

/// A page for the printer, with nothing but the codes.
pub fn qr_sheet(accounts: &[Printed]) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(words::LANGUAGE) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text::SHEET) }
                link rel="icon" href=(assets::address("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::address("console.css"));
            }
            body class="print" {
                p class="quiet" { (text::SHEET_HOW) " " a href={ (BASE) "/accounts" } { (text::SHEET_BACK) } }
                main id="main" {
                    @for (id, handle) in accounts {
                        @for (link, name) in [("direct_message", text::WRITE_TO_US), ("profile", text::PROFILE)] {
                            figure {
                                img src={ (BASE) "/accounts/" (id) "/qr?link=" (link) } alt="" width="280" height="280";
                                figcaption { strong { (name) } br; "@" (handle) }
                            }
                        }
                    }
                    @if accounts.is_empty() { p { (text::SHEET_EMPTY) } }
                }
            }
        }
    }
}
