//! Drawings of the navigation, 24 by 24, in the colour of the text beside them.

use maud::{Markup, html};

pub(crate) const INBOX: &str = "M4 13 6 5h12l2 8v6H4zM4 13h5l1 3h4l1-3h5";
pub(crate) const FAILED: &str = "M12 4 21 20H3zM12 10v4M12 17v.01";
pub(crate) const TEMPLATES: &str = "M6 3h9l4 4v14H6zM15 3v4h4M9 12h7M9 16h5";
pub(crate) const BROADCASTS: &str = "M4 10v4h3l8 5V5l-8 5zM18 9a4 4 0 0 1 0 6";
pub(crate) const COMMENTS: &str = "M4 5h16v11H11l-4 4v-4H4zM8 9h8M8 12h5";
pub(crate) const ACCOUNTS: &str = "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 20c1-4 4-5 8-5s7 1 8 5";
pub(crate) const OVERVIEW: &str = "M5 20v-7M12 20V5M19 20V10";
pub(crate) const ACTIVITY: &str = "M3 12h4l3-7 4 14 3-7h4";
pub(crate) const NOTIFICATIONS: &str = "M6 17v-6a6 6 0 0 1 12 0v6l2 2H4zM10 21h4";
pub(crate) const KEYS: &str = "M12 10a4 4 0 1 0 0 4h4v3h3v-3h2v-4z";
pub(crate) const API: &str = "m8 7-5 5 5 5M16 7l5 5-5 5";
pub(crate) const REST: &str = "M4 7h16M4 12h16M4 17h16";

/// A drawing without a meaning of its own: words stand beside it.
pub(crate) fn icon(path: &str) -> Markup {
    html! { svg class="icon" viewBox="0 0 24 24" aria-hidden="true" { path d=(path) {} } }
}
