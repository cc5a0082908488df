//! What the console says, in one place, for translation.

use crate::DemoTrouble;
use dmrelay_domain::permission::Role;

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
/// The page of API keys.
pub const KEYS: &str = "Keys";
/// The page of accounts.
pub const ACCOUNTS: &str = "Accounts";
/// On the way to another site.
pub const LEAVING: &str = "One moment…";
/// The page of all calls.
pub const API: &str = "API";
/// Ends the session.
pub const SIGN_OUT: &str = "Sign out";
/// Where the live connection is lost.
pub const OFFLINE: &str = "Connection lost. Reconnecting… What you see may be out of date.";
/// Above the search.
pub const SEARCH: &str = "Search by name or handle";
/// No conversation is chosen.
pub const CHOOSE: &str = "Choose a conversation";
/// How to choose one.
pub const CHOOSE_HINT: &str =
    "j and k move through the list, Enter opens, r writes, t takes over, Ctrl-K leads anywhere.";
/// Below the last page of a list.
pub const MORE: &str = "Show more";
/// Above the older messages.
pub const OLDER: &str = "Show earlier messages";
/// The button of the composer.
pub const SEND: &str = "Send";
/// The empty composer.
pub const WRITE: &str = "Write a message…";
/// What sending does.
pub const SILENCES: &str = "The bot stops replying in this chat when you write.";
/// The bot is asked.
pub const THINKING: &str = "The bot is writing";

/// What a customer of the demo can do: a word, a sign, and what it says.
pub const DEMO_DEEDS: [(&str, &str, &str); 5] = [
    ("photo", "Photo", "Send a photo"),
    ("voice", "Voice", "Send a voice message"),
    ("story", "Story", "Reply to a story"),
    ("heart", "❤", "Put a heart on the last message of the account"),
    ("unsend", "Unsend", "Unsend your last message"),
];

/// What goes wrong in the demo.
pub fn trouble(trouble: DemoTrouble) -> &'static str {
    match trouble {
        DemoTrouble::TokenExpired => "the login expires",
        DemoTrouble::AgentSlow => "the agent is slow",
        DemoTrouble::GraphRefuses => "Instagram refuses messages",
        DemoTrouble::WebhookTwice => "webhooks come twice",
    }
}

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

/// Why a human cannot write.
pub fn locked(reason: Option<&str>) -> &'static str {
    match reason {
        Some("not_connected") => "The account is not connected. Connect it again to write.",
        _ => "Meta's 24-hour reply window has closed. You can reply once the customer writes again.",
    }
}

/// Why a chat waits for a human.
pub fn needs_human(reason: &str) -> &'static str {
    match reason {
        "failed" => "A message failed",
        "window_closed" => "The window closed unanswered",
        "runaway" => "Stopped as a loop between bots",
        _ => "Waits for you",
    }
}

/// The status of a sent message.
pub fn status(status: &str) -> &'static str {
    match status {
        "queued" => "Waiting to be sent",
        "sending" => "Being sent",
        "sent" => "Sent",
        "unknown" => "This may or may not have arrived. Check the Instagram app before you send it again.",
        "failed" => "Not sent",
        "suppressed" => "Held back",
        "cancelled" => "Cancelled: an earlier part of the answer failed",
        _ => "Received",
    }
}

/// Why a reply was held back, or a message is not answered.
pub fn reason(reason: &str) -> &'static str {
    match reason {
        "standby" => "another app has this conversation",
        "unsupported" => "Meta does not pass on messages of this kind",
        "view_once" => "it can be viewed once, in the Instagram app",
        "empty" => "the message is empty",
        "unsent" => "the customer unsent the message",
        "api" | "send" | "echo" | "person" => "a human had taken over",
        "runaway" => "the chat was paused",
        "history" => "it was sent before the account was connected",
        _ => "not answered",
    }
}

/// What a failure class is called.
pub fn class(class: &str) -> String {
    match class {
        "window_closed" => "reply window closed".to_owned(),
        "gone" => "customer unreachable".to_owned(),
        "reauth" => "login required".to_owned(),
        "ambiguous" => "outcome unknown".to_owned(),
        "transient" => "service failing".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What to do about a failure of this class.
pub fn failure(class: &str) -> &'static str {
    match class {
        "window_closed" => "The 24-hour window had closed. The customer must write again.",
        "gone" => "The customer cannot be reached any more.",
        "invalid" => "It was rejected as invalid. Fix the cause before you replay it.",
        "reauth" => "The account must be connected again.",
        "restricted" => "Instagram restricts the account at the moment.",
        "agent_refused" => "The agent's provider refused the question.",
        "ambiguous" => "Whether it arrived could not be found out.",
        _ => "The service failed for too long.",
    }
}

/// How far an overview looks back.
pub fn range(range: &str) -> &'static str {
    match range {
        "hour" => "Hour",
        "day" => "Day",
        _ => "Week",
    }
}

/// How many answers there were.
pub fn asked(answers: i64) -> String {
    format!("{answers} bot messages")
}

/// Groups of activities: their word in the address, and their name.
pub const ACTIVITY_GROUPS: [(&str, &str); 5] = [
    ("", "Everything"),
    ("chats", "Conversations"),
    ("accounts", "Accounts"),
    ("failures", "Failures"),
    ("access", "Access"),
];

/// What happened, from its stored word: `INSTAGRAM_BOT_PAUSED` is `Bot paused`.
pub fn activity(kind: &str) -> String {
    check(&kind.trim_start_matches("INSTAGRAM_").to_lowercase())
}

/// What a role may do.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer: reads",
        Role::Operator => "Operator: also writes, takes over and replays",
        Role::Admin => "Admin: also connects accounts and changes settings",
        Role::Owner => "Owner: also manages keys",
    }
}

/// The state of a connection.
pub fn connection(status: &str) -> &'static str {
    match status {
        "connected" => "Connected",
        "reauth_required" => "Login required",
        "restricted" => "Restricted by Meta",
        "disconnecting" => "Being disconnected",
        "disconnected" => "Disconnected",
        _ => "Being connected",
    }
}

/// How a login at Meta went.
pub fn connect_outcome(status: &str, error: Option<&str>) -> String {
    match (status, error) {
        ("connected", _) => "The account is connected.".to_owned(),
        ("cancelled", _) => "Nothing was connected: the login was cancelled.".to_owned(),
        ("expired", _) => "Nothing was connected: the login took too long. Start again.".to_owned(),
        (_, Some("missing-permission")) => {
            "Nothing was connected: try again, and leave all the permissions Meta asks for ticked.".to_owned()
        }
        (_, Some("account-in-use")) => {
            "Nothing was connected: another subaccount has this account.".to_owned()
        }
        (_, Some(error)) => format!("Nothing was connected: {}.", error.replace('-', " ")),
        _ => "Nothing was connected.".to_owned(),
    }
}

/// What is checked.
pub fn check(check: &str) -> String {
    let words = check.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a check found.
pub fn check_state(state: &str) -> &'static str {
    match state {
        "ok" => "fine",
        "warning" => "needs attention",
        "failing" => "broken",
        _ => "not known",
    }
}

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
        "sticker" | "like_heart" => "Sticker".to_owned(),
        "unsent" => "Message unsent".to_owned(),
        "referral" => "Came from a link or an ad".to_owned(),
        other => other.replace('_', " "),
    }
}
