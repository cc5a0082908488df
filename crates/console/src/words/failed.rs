//! What failed for good.

pub(crate) const NOTHING: &str = "Nothing has failed.";
pub(crate) const NOTHING_HINT: &str = "What cannot be delivered or answered is kept here with its reason.";
pub(crate) const TO_INBOX: &str = "Go to the inbox";
pub(crate) const SEE_CLOSED: &str = "See replayed items";
pub(crate) const NONE_MATCHES: &str = "No matches.";
pub(crate) const DRY_RUN: &str = "What would happen?";
pub(crate) const REPLAY_SELECTED: &str = "Replay selected";
pub(crate) const DISCARD_SELECTED: &str = "Discard selected";
pub(crate) const CONFIRM_REPLAY_ALL: &str = "Replay the selected items? Customers will receive the messages.";
pub(crate) const CONFIRM_DISCARD_ALL: &str = "Discard the selected items? This can't be undone.";
pub(crate) const CONFIRM_DISCARD: &str = "Discard this? This can't be undone.";
pub(crate) const NEXT: &str = "Continue";
pub(crate) const PROGRESS: &str = "Progress";
/// A customer whose name is not known.
pub(crate) const A_CUSTOMER: &str = "a customer";
/// Around the customer.
pub(crate) const WITH: &str = "with {}";
pub(crate) const REPLAY: &str = "Replay";
pub(crate) const DISCARD: &str = "Discard";

pub(crate) const STATE: &str = "State";
pub(crate) const KIND: &str = "Kind";
pub(crate) const ACCOUNT: &str = "Account";
pub(crate) const ALL_KINDS: &str = "All kinds";
pub(crate) const ALL_ACCOUNTS: &str = "All accounts";
pub(crate) const FILTER: &str = "Filter";
/// States with their words in the address.
pub(crate) const STATES: [(&str, &str); 3] =
    [("open", "Open"), ("replayed", "Replayed"), ("discarded", "Discarded")];

/// How many fit.
pub(crate) fn found(count: &str) -> String {
    format!("{count} found")
}

/// Selects all that fit, also those that are not on the page.
pub(crate) fn all_matching(count: &str) -> String {
    format!("All matching ({count})")
}

/// A tick box, by what it selects.
pub(crate) fn select(kind: &str, customer: &str, at: &str) -> String {
    format!("Select: {kind}, {customer}, {}", at.get(..16).unwrap_or(at).replace('T', " "))
}

/// For how many something was done, or would be.
pub(crate) fn outcome(deed: &str, count: u64) -> String {
    match deed {
        "replay" => format!("{count} replayed."),
        "discard" => format!("{count} discarded."),
        _ => format!("{count} would be replayed."),
    }
}

/// For how many it was not done.
pub(crate) fn skipped(count: u64) -> String {
    format!("{count} skipped.")
}

/// Why not.
pub(crate) fn because(count: usize, why: &str) -> String {
    format!("{count}: {why}.")
}

/// What failed.
pub(crate) fn kind(kind: &str) -> &'static str {
    match kind {
        "turn" => "Question to the agent",
        "message" => "Message",
        _ => "Event from Meta",
    }
}

/// What was done about it, and who did it.
pub(crate) fn closed(state: &str, by: Option<&str>) -> String {
    let done = if state == "replayed" { "Replayed" } else { "Discarded" };
    by.map_or_else(|| done.to_owned(), |by| format!("{done} by {by}"))
}

/// What a failure class is called.
pub(crate) fn class(class: &str) -> String {
    match class {
        "window_closed" => "reply window closed".to_owned(),
        "gone" => "customer unreachable".to_owned(),
        "reauth" => "login required".to_owned(),
        "ambiguous" => "outcome unknown".to_owned(),
        "transient" => "service failing".to_owned(),
        other => other.replace('_', " "),
    }
}

/// What happened in a failure of this class.
pub(crate) fn failure(class: &str) -> &'static str {
    match class {
        "window_closed" => "Meta's 24-hour window had closed.",
        "gone" => "The customer cannot be reached any more.",
        "invalid" => "It was rejected as invalid.",
        "reauth" => "The account's login had expired.",
        "restricted" => "Instagram restricted the account.",
        "agent_refused" => "The agent's provider refused the question.",
        "ambiguous" => "Whether it arrived could not be found out.",
        _ => "The service failed for too long.",
    }
}

/// What to do about a failure of this class.
pub(crate) fn advice(class: &str) -> &'static str {
    match class {
        "window_closed" => "Wait until the customer writes again, then answer there. Discard this.",
        "gone" => "They blocked the account or deleted theirs. Discard it.",
        "invalid" => "Read what was wrong, fix the agent or the message, then replay.",
        "reauth" => "Log in again under Accounts, then replay.",
        "restricted" => "Open the Instagram app, see what it says, and replay when the restriction is over.",
        "agent_refused" => "Check the agent and its key at the provider, then replay.",
        "ambiguous" => "Look in the Instagram app. Replay it only if it is not there.",
        _ => "Replay it once the service works again.",
    }
}
