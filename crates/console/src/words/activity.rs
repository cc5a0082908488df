//! What was done and what happened.

/// Groups of activities: their word in the address, and their name.
pub const ACTIVITY_GROUPS: [(&str, &str); 6] = [
    ("", "Everything"),
    ("chats", "Conversations"),
    ("accounts", "Accounts"),
    ("failures", "Failures"),
    ("access", "Access"),
    (EVENTS, "Live events"),
];

/// The word of the group that shows events as an integrator gets them.
pub const EVENTS: &str = "events";

pub(crate) const NO_EVENT: &str = "New events appear here as they happen, exactly as the API streams them.";
pub(crate) const PAUSE: &str = "Pause";
pub(crate) const GO_ON: &str = "Resume";

pub(crate) const GROUPS: &str = "What is shown";
pub(crate) const CONVERSATION: &str = "conversation";
pub(crate) const EMPTY: &str = "Nothing has happened yet.";

/// What happened, from its stored word: `INSTAGRAM_BOT_PAUSED` is `Bot paused`.
pub(crate) fn kind(kind: &str) -> String {
    super::sentence_case(&kind.trim_start_matches("INSTAGRAM_").to_lowercase())
}

/// A detail: its name and what it says, in words.
pub(crate) fn detail(name: &str, value: &str) -> String {
    let plain = |word: &str| word.replace('_', " ");
    match name {
        "kind" => super::kind(value).to_lowercase(),
        "class" => super::failed::class(value),
        "outcome" | "status" | "state" | "deed" => plain(value),
        _ => {
            let mut label = String::new();
            for letter in name.chars() {
                if letter.is_uppercase() {
                    label.push(' ');
                }
                label.extend(letter.to_lowercase());
            }
            format!("{label}: {value}")
        }
    }
}
