//! The frame of every page.

pub(crate) const SKIP: &str = "Skip to the conversations";
pub(crate) const OFFLINE: &str = "Connection lost. Reconnecting… What you see may be out of date.";
pub(crate) const NAVIGATION: &str = "Console";
pub(crate) const API: &str = "API";
pub(crate) const SIGN_OUT: &str = "Sign out";
/// On the way to another site.
pub(crate) const LEAVING: &str = "One moment…";
pub(crate) const OVER_REST: &str = "Over REST";

/// The role of the person who is signed in.
pub(crate) fn role(role: &str, subaccount: &str) -> String {
    format!("{role} of {subaccount}")
}

/// Leads to another site, if the browser does not go there by itself.
pub(crate) fn continue_to(place: &str) -> String {
    format!("Continue to {place}")
}
