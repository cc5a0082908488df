//! The ice breakers and the menu of an account.

pub(crate) const TITLE: &str = "Ice breakers and menu";
pub(crate) const DIFFERS: &str =
    "Meta shows something else: it was changed elsewhere. This is what was set here.";
pub(crate) const DOES_NOT_FIT: &str =
    "This was set over REST in a way that does not fit into lines: change it there.";
pub(crate) const QUESTIONS: &str = "Questions to tap in a new conversation, at most 4, one per line";
pub(crate) const QUESTIONS_EXAMPLE: &str = "Where is my order? = ORDER";
pub(crate) const MENU: &str = "Menu of a conversation, at most 20, one per line; a link after = is opened";
pub(crate) const MENU_EXAMPLE: &str = "Opening hours = HOURS";
pub(crate) const PAYLOADS: &str =
    "The agent gets what follows = when a customer taps; without it, the text itself.";
pub(crate) const SAVE: &str = "Save to Meta";

/// The languages that cannot be edited in the console.
pub(crate) fn other_languages(locales: &[String]) -> String {
    format!("Other languages stay as they are: {}.", locales.join(", "))
}

/// After the form was sent.
pub const SAVED: &str = "Saved. In the app it can take up to a day to show.";
