//! A conversation: its head, its messages, and the composer.

pub(crate) const BACK: &str = "Back to the list";
pub(crate) const ABOUT_CUSTOMER: &str = "About the customer";
pub(crate) const BOT_ANSWERS: &str = "Bot answers";
pub(crate) const HUMAN_ANSWERS: &str = "Human answers";
pub(crate) const PAUSED: &str = "Paused";
/// Opens what else can be done about who answers.
pub(crate) const HOW_LONG: &str = "For how long";
/// Somebody has the conversation, without an end.
pub(crate) const UNTIL_GIVEN_BACK: &str = "until given back";
pub(crate) const GIVE_BACK: &str = "Give back";
/// Follows on a wide window.
pub(crate) const GIVE_BACK_TO_BOT: &str = "to the bot";
pub(crate) const GIVE_BACK_HINT: &str = "The bot answers again, beginning with what is unanswered";

pub(crate) const TEMPLATES: &str = "Saved messages";

pub(crate) fn send_template(name: &str) -> String {
    format!("Send “{name}”?")
}

pub(crate) const MESSAGES: &str = "Messages";
/// Instead of a message that a link names.
pub(crate) const TOO_FAR: &str =
    "The message you are looking for is much further up: thousands were written since.";
pub(crate) const OLDER: &str = "Show earlier messages";
/// New messages below what is seen: before, for one, and for several of them.
pub(crate) const NEW_MESSAGES: &str = "New messages";
pub(crate) const ONE_NEW_MESSAGE: &str = "1 new message ↓";
pub(crate) const SEVERAL_NEW_MESSAGES: &str = "{} new messages ↓";
pub(crate) const THINKING: &str = "The bot is writing";
pub(crate) const BOT_ANSWERS_AGAIN: &str = "The bot answers again";
pub(crate) const BOT_IS_SILENT: &str = "The bot is silent";

pub(crate) const BY_BOT: &str = "Bot";
pub(crate) const BY_COLLEAGUE: &str = "Colleague";
pub(crate) const BY_APP: &str = "Instagram app";
pub(crate) const BY_AUTOMATION: &str = "Instagram's automatic reply";
pub(crate) const BY_RULE: &str = "Rule";
pub(crate) const BY_BROADCAST: &str = "Broadcast";
pub(crate) const REPLY_TO_STORY: &str = "In reply to your story (it can be seen for 24 hours)";
pub(crate) const REPLY_TO_MESSAGE: &str = "In reply to an earlier message";
pub(crate) const TAPPED: &str = "Tapped";
pub(crate) const EDITED: &str = "edited";
pub(crate) const DELIVERY_DETAILS: &str = "Delivery details";
pub(crate) const READ: &str = "Read";
pub(crate) const UNKNOWN: &str = "Unknown";
pub(crate) const HELD_BACK: &str = "held back";

pub(crate) const WRITE: &str = "Write a message…";
pub(crate) const SEND: &str = "Send";
pub(crate) const ATTACH: &str = "Send a picture, video, voice message or PDF";
/// Around the name of the file.
pub(crate) const ATTACH_CONFIRM: &str = "Send {}?";
pub(crate) const REPLY_TO_THIS: &str = "Reply to this message";
pub(crate) const NO_REPLY: &str = "Reply to no message";
pub(crate) const REACT: &str = "React with a heart";
pub(crate) const SILENCES: &str = "The bot stops replying in this chat when you write.";
/// Around the time that is left.
pub(crate) const WINDOW: &str = "Window: {}";
/// How long the text is, and how long it may be.
pub(crate) const BYTES: &str = "{} of {} bytes";
pub(crate) const TRY_AGAIN: &str = "Try again";
pub(crate) const DISCARD: &str = "Discard";
pub(crate) const MAYBE_SENT: &str = "It is not known whether this was sent. Trying again sends it once.";

/// The account that the customer writes to; follows the handle of the customer.
pub(crate) fn to_account(handle: &str) -> String {
    format!("to @{handle}")
}

/// Hours for which a person can take a conversation over; no hours: until they give it back.
pub(crate) fn take_over(hours: Option<u32>) -> String {
    hours.map_or_else(|| "Take over until I give it back".to_owned(), |hours| format!("Take over {hours} h"))
}

pub(crate) fn take_over_hint(hours: Option<u32>) -> String {
    hours.map_or_else(
        || "The bot stays silent until somebody gives the conversation back".to_owned(),
        |hours| format!("The bot stops replying for {hours} h"),
    )
}

/// The same, where somebody has it already.
pub(crate) fn keep(hours: Option<u32>) -> String {
    hours.map_or_else(
        || "Keep until I give it back".to_owned(),
        |hours| format!("Keep for {hours} h from now"),
    )
}

/// The role of the person does not let them write.
pub(crate) fn role_cannot_write(role: &str) -> String {
    format!("Your role ({role}) does not include writing to customers.")
}

/// A human cannot write; around the link to the accounts.
pub(crate) const NOT_CONNECTED: &str = "The account is not connected. {}";
pub(crate) const CONNECT_AGAIN: &str = "Connect it again to write.";
/// A human cannot write; around the time.
pub(crate) const WINDOW_CLOSED: &str =
    "Meta's 24-hour reply window closed {}. You can reply once the customer writes again.";
pub(crate) const WINDOW_NEVER_OPEN: &str = "You can reply once the customer writes.";

/// Who did something, from the word that is stored.
pub(crate) fn actor(actor: &str) -> &str {
    match actor {
        "user" => "the customer",
        "agent" => "the bot",
        "system" => "dmrelay",
        "meta" => "Meta",
        "rule" => "a rule",
        "person" => "somebody",
        other => other,
    }
}

/// The status of a sent message.
pub(crate) fn status(status: &str) -> &'static str {
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
pub(crate) fn reason(reason: &str) -> &'static str {
    match reason {
        "standby" => "another app has this conversation",
        "unsupported" => "Meta does not pass on messages of this kind",
        "view_once" => "it can be viewed once, in the Instagram app",
        "empty" => "the message is empty",
        "unsent" => "the customer unsent the message",
        "api" | "send" | "echo" | "person" => "a human had taken over",
        "runaway" => "the chat was paused",
        "handover" => "it was handed over to a human",
        "opted_out" => "the customer wants no broadcasts",
        "window_closed" => "the 24-hour reply window had closed",
        "agent_answers" | "human_answers" => "the conversation was under way",
        "history" => "it was sent before the account was connected",
        _ => "not answered",
    }
}

/// A message failed, and what to do about it.
pub(crate) fn not_sent(failure: &str) -> String {
    format!("Not sent. {failure}")
}

pub(crate) fn not_sent_because(reason: &str) -> String {
    format!("Not sent: {reason}")
}

/// The answer failed, and what to do about it.
pub(crate) fn not_answered(failure: &str) -> String {
    format!("Not answered. {failure}")
}

pub(crate) fn not_answered_because(reason: &str) -> String {
    format!("Not answered: {reason}")
}

/// Why the bot is silent, if the line does not say it already.
pub(crate) fn silent_because(reason: &str) -> Option<&str> {
    match reason {
        "api" | "send" | "person" | "echo" => None,
        "runaway" => Some("There were too many turns within an hour."),
        "handover" => Some("A human is wanted."),
        other => Some(other),
    }
}
