//! The frame of every page.

pub(crate) const SKIP: &str = "Skip to the content";
pub(crate) const OFFLINE: &str = "Connection lost. Reconnecting… What you see may be out of date.";
pub(crate) const NAVIGATION: &str = "Console";
pub(crate) const API: &str = "API";
/// Opens the pages that a narrow window does not show.
pub(crate) const REST: &str = "More";
pub(crate) const TO_INBOX: &str = "Go to the inbox";
pub(crate) const SIGN_OUT: &str = "Sign out";
/// On the way to another site.
pub(crate) const LEAVING: &str = "One moment…";
pub(crate) const OVER_REST: &str = "Over REST";

/// Above what went wrong.
pub(crate) fn headline(status: u16) -> &'static str {
    match status {
        403 => "Your role does not include this",
        404 => "Not found",
        429 => "Too many requests",
        400..=499 => "This request cannot be carried out",
        _ => "Something went wrong",
    }
}

/// The role of the person who is signed in.
pub(crate) fn role(role: &str, subaccount: &str) -> String {
    format!("{role} of {subaccount}")
}

/// Leads to another site, if the browser does not go there by itself.
pub(crate) fn continue_to(place: &str) -> String {
    format!("Continue to {place}")
}
