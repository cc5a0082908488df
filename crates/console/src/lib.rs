//! The pages of the console: HTML rendered from the views of the REST API, kept live by fragments, with a few scripts and one style
//! sheet of our own. It reads nothing and decides nothing: the API does, for the console as for REST.
//!
//! A **fragment** is an element with an id. In the page it replaces the element with the same id; if there is none, it goes into the
//! element that `data-into` names: first if `data-place` says so, otherwise by its time, `data-at`.

mod accounts;
mod activity;
pub mod assets;
mod broadcasts;
mod comments;
mod content;
mod draft;
mod failed;
mod icons;
mod inbox;
mod keys;
mod notifications;
mod overview;
mod page;
mod panel;
mod phone;
mod profile;
mod qr_sheet;
mod rules;
mod sign_in;
mod templates;
mod thread;
mod trace;
pub mod words;

pub use accounts::{Account, Here, Login, accounts, card, cards};
pub use activity::{Activities, activities, event_row, rows};
pub use broadcasts::{Broadcasts, broadcasts, fresh_id, reach, sent};
pub use comments::{Comments, card as comment_card, comments, list as comment_list};
pub use draft::{Draft, preview};
pub use failed::{Failed, Outcome, Sieve, failed, letter, listed, news, outcome};
pub use inbox::{Inbox, Place, Selected, count_of, folders, list, more, row};
pub use keys::{keys, list as key_list, made};
pub use maud::Markup;
pub use notifications::{Notifications, notifications, secret, told};
pub use overview::{overview, state as overview_state};
pub use page::{Person, Tab, leave_to, shell, trouble};
pub use panel::{Panel, panel};
pub use phone::{DemoButton, DemoCard, DemoMessage, DemoTrouble, Phone, phone, troubles};
pub use profile::{Lines, profile};
pub use qr_sheet::{Printed, qr_sheet};
pub use rules::rules;
pub use sign_in::{SignIn, sign_in};
pub use templates::{Editing, editor, saved, templates};
pub use thread::{Entry, Thread, bubble, changed, head, older, panes, thinking};
pub use trace::{Trace, trace};

/// Tells the page to fetch fragments.
pub fn fetch(address: &str) -> Markup {
    maud::html! { i hidden data-fetch=(address) {} }
}

/// Tells the page to fetch fragments, if it shows the element with this id.
pub fn fetch_of(id: &str, address: &str) -> Markup {
    maud::html! { i hidden data-of=(id) data-fetch=(address) {} }
}

/// Tells the page to load itself anew: more has changed than fragments show.
pub fn reload() -> Markup {
    maud::html! { i hidden data-reload {} }
}

/// The path under which the console is served.
pub const BASE: &str = "/console";
