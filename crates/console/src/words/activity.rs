//! What was done and what happened.

/// Groups of activities: their word in the address, and their name.
pub const ACTIVITY_GROUPS: [(&str, &str); 5] = [
    ("", "Everything"),
    ("chats", "Conversations"),
    ("accounts", "Accounts"),
    ("failures", "Failures"),
    ("access", "Access"),
];

pub(crate) const GROUPS: &str = "What is shown";
pub(crate) const CONVERSATION: &str = "conversation";
pub(crate) const EMPTY: &str = "Nothing has happened yet.";

/// What happened, from its stored word: `INSTAGRAM_BOT_PAUSED` is `Bot paused`.
pub(crate) fn kind(kind: &str) -> String {
    super::sentence_case(&kind.trim_start_matches("INSTAGRAM_").to_lowercase())
}
