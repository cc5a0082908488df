//! Every text of the console, in one place, for translation: one file per page, and here what several pages
//! share.
//!
//! A text with `{}` is a whole sentence around an element or a value: `page::fill` puts in elements, the
//! scripts put in values.

pub(crate) mod accounts;
pub(crate) mod activity;
pub(crate) mod broadcasts;
pub(crate) mod comments;
pub(crate) mod content;
pub(crate) mod draft;
pub(crate) mod failed;
pub(crate) mod inbox;
pub(crate) mod keys;
pub(crate) mod notifications;
pub(crate) mod overview;
pub(crate) mod page;
pub(crate) mod panel;
pub(crate) mod phone;
pub(crate) mod profile;
pub(crate) mod rules;
pub(crate) mod scripts;
pub(crate) mod sign_in;
pub(crate) mod templates;
pub(crate) mod thread;
pub(crate) mod trace;

pub use accounts::done;
pub use activity::{ACTIVITY_GROUPS, EVENTS};
pub use inbox::FOLDERS;
pub use phone::DEMO_COMMENT;
pub use profile::SAVED;
pub use rules::RULES_SAVED;
pub use sign_in::LINK_IS_OLD;

/// The language of all texts.
pub(crate) const LANGUAGE: &str = "en";

/// The product.
pub const PRODUCT: &str = "dmrelay";
/// The page of conversations.
pub const INBOX: &str = "Inbox";
/// The page of what failed.
pub const FAILED: &str = "Failed";
/// The page of figures.
pub const OVERVIEW: &str = "Overview";
/// The page of what was done.
pub const ACTIVITY: &str = "Activity";
/// The page of who is notified.
pub const NOTIFICATIONS: &str = "Notifications";
/// The page of API keys.
pub const KEYS: &str = "Keys";
/// The page of saved messages.
pub const TEMPLATES: &str = "Messages";
/// The page of broadcasts.
pub const BROADCASTS: &str = "Broadcasts";
/// The page of comments.
pub const COMMENTS: &str = "Comments";
/// The page of accounts.
pub const ACCOUNTS: &str = "Accounts";
/// Below the last page of a list.
pub const MORE: &str = "Show more";

/// Closes a dialog.
pub(crate) const CLOSE: &str = "Close";

/// What a message that is not text is.
pub fn kind(kind: &str) -> String {
    match kind {
        "image" => "Photo".to_owned(),
        "video" => "Video".to_owned(),
        "audio" => "Voice message".to_owned(),
        "file" => "File".to_owned(),
        "story_mention" => "Mentioned you in their story".to_owned(),
        "story_reply" => "Replied to your story".to_owned(),
        "share" | "ig_post" | "post" => "Shared a post".to_owned(),
        "reel" | "ig_reel" => "Shared a reel".to_owned(),
        "sticker" => "Sticker".to_owned(),
        "like_heart" => "Heart".to_owned(),
        "media_share" | "MEDIA_SHARE" => "Own post".to_owned(),
        "template" => "Cards or buttons".to_owned(),
        "unsent" => "Message unsent".to_owned(),
        "referral" => "Came from a link or an ad".to_owned(),
        other => other.replace('_', " "),
    }
}

/// A reaction as it is seen: Meta has words for some.
pub(crate) fn emoji(reaction: &str) -> &str {
    match reaction {
        "love" => "❤",
        "like" => "👍",
        "laugh" => "😂",
        "wow" => "😮",
        "sad" => "😢",
        "angry" => "😠",
        other => other,
    }
}

/// Whether a notification has arrived.
pub(crate) fn notification(state: &str) -> &'static str {
    match state {
        "delivered" => "delivered",
        "failed" => "failed",
        _ => "waiting",
    }
}

/// A stored word as people read it: `bot_paused` is `Bot paused`.
fn sentence_case(word: &str) -> String {
    let words = word.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;

/// What a field is called that a fault is about, by its place in what was sent.
pub fn field(place: &str) -> Option<&'static str> {
    let name = place.split('/').nth(1)?;
    Some(match name {
        "debounceMs" => accounts::DEBOUNCE,
        "takeoverHours" => accounts::TAKEOVER,
        "writingMsPerCharacter" => accounts::WRITING,
        "fallbackText" => accounts::FALLBACK_TEXT,
        "unreadableText" => accounts::UNREADABLE_TEXT,
        "automaticTexts" => accounts::AUTOMATIC_TEXTS,
        "agentVariables" => accounts::AGENT_VARIABLES,
        "agent" | "toAgentId" => accounts::NEW_AGENT,
        _ => return None,
    })
}
