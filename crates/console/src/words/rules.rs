//! Texts of the rules of an account.

pub(crate) const TITLE: &str = "Rules";
pub(crate) const INTRO: &str =
    "What happens by itself. To send something, write a text or choose a saved message.";
pub(crate) const STORIES: &str = "Stories";
pub(crate) const STORY_MENTION: &str = "Somebody mentions you in a story";
pub(crate) const STORY_REPLY: &str = "Somebody replies to your story";
pub(crate) const TAPS: &str = "Tapped buttons and quick replies";
pub(crate) const PAYLOAD: &str = "Payload of the button; * for any";
pub(crate) const COMMENTS: &str = "Comments on your posts: the first rule that fits";
pub(crate) const ON: &str = "use";
pub(crate) const KEYWORDS: &str = "Keywords, one per line; empty for any comment";
pub(crate) const POSTS: &str = "Post ids, one per line; empty for all posts";
pub(crate) const PUBLIC: &str = "Public reply";
pub(crate) const HIDE: &str = "hide the comment";
pub(crate) const ACTION: &str = "What happens";
pub(crate) const TEXT: &str = "Text to send";
pub(crate) const TEMPLATE: &str = "Saved message to send";
pub(crate) const NO_TEMPLATE: &str = "no saved message";
pub(crate) const SAVE: &str = "Save";
/// The rules are in force.
pub const RULES_SAVED: &str = "Saved.";

/// What can happen: a word of the API, and what it says.
pub(crate) const ACTIONS: [(&str, &str); 4] = [
    ("ask_agent", "the bot answers"),
    ("send", "send this"),
    ("hand_over", "a human takes over"),
    ("ignore", "nothing"),
];
