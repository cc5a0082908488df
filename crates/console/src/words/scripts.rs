//! What the scripts say on any page: it comes with the page, in attributes of its `html` element.

pub(crate) const TODAY: &str = "Today";
/// The parts of the time that is left, as in `3 h 20 min left`.
pub(crate) const HOURS: &str = "{} h";
pub(crate) const MINUTES: &str = "{} min";
pub(crate) const LEFT: &str = "{} left";
/// A time that has gone by, as in `3 h 20 min ago`.
pub(crate) const AGO: &str = "{} ago";
/// An answer without a text has only its status.
pub(crate) const ERROR: &str = "Error {}";
/// The palette, which Ctrl-K opens.
pub(crate) const GO_TO: &str = "Go to";
pub(crate) const GO_TO_HINT: &str = "Go to a page, a folder or a conversation…";
pub(crate) const SEARCH_FOR: &str = "Search for “{}”";
/// Beneath a question.
pub(crate) const OK: &str = "Yes";
pub(crate) const CANCEL: &str = "Cancel";
/// The session has ended while the page was open.
pub(crate) const SIGNED_OUT: &str =
    "You are signed out. Sign in again in another tab: what you have typed here stays.";
pub(crate) const SIGN_IN: &str = "Sign in";
