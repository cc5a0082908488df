//! The inbox: its folders and their lists.

/// The folders: their word in the address, their name, and what an empty one says.
pub const FOLDERS: [(&str, &str, &str); 9] = [
    ("all", "All", "No conversations yet. They appear here as soon as somebody writes to the account."),
    ("needs_human", "Needs a human", "Nobody waits for a human. The bot has everything under control."),
    ("unanswered", "Unanswered", "Every customer has an answer."),
    ("bot", "Bot", "The bot is not answering any conversation."),
    ("mine", "Mine", "No conversation is assigned to you."),
    ("human", "Taken over", "No conversation is taken over by a human."),
    ("window_closing", "Window closing", "No reply window closes in the next four hours."),
    ("failed", "Failed", "Nothing has failed."),
    ("snoozed", "Snoozed", "No conversation is snoozed."),
];

pub(crate) const FOLDERS_LABEL: &str = "Folders";
pub(crate) const CONVERSATIONS: &str = "Conversations";
pub(crate) const SEARCH: &str = "Search by name or handle";
/// No conversation is chosen.
pub(crate) const CHOOSE: &str = "Choose a conversation";
pub(crate) const CHOOSE_HINT: &str =
    "j and k move through the list, Enter opens, r writes, t takes over, Ctrl-K leads anywhere.";
pub(crate) const SEE_ALL: &str = "See all conversations";
pub(crate) const SEE_ACCOUNTS: &str = "See the accounts, or connect one";
pub(crate) const TAKEN_OVER: &str = "Taken over";
/// A customer without a name and a handle.
pub(crate) const NAMELESS: &str = "Instagram user";
/// Before the last message of a conversation.
pub(crate) const BY_BOT: &str = "Bot: ";
pub(crate) const BY_US: &str = "Team: ";
pub(crate) const BY_BROADCAST: &str = "Broadcast: ";
pub(crate) const BY_APP: &str = "In the app: ";

/// Why a chat waits for a human.
pub(crate) fn needs_human(reason: &str) -> &'static str {
    match reason {
        "failed" => "A message failed",
        "window_closed" => "The window closed unanswered",
        "runaway" => "Stopped as a loop between bots",
        "handover" => "Handed over to you",
        _ => "Waits for you",
    }
}

pub(crate) fn unread(count: u64) -> String {
    format!("{count} unread")
}

/// A search without a result.
pub(crate) fn nothing_found(q: &str) -> String {
    format!("Nothing was found for “{q}”.")
}
