//! What failed for good.

pub(crate) const NOTHING: &str = "Nothing has failed.";
pub(crate) const NOTHING_HINT: &str = "What cannot be delivered or answered is kept here with its reason.";
pub(crate) const ALL: &str = "‹ All";
pub(crate) const DRY_RUN: &str = "What would happen?";
pub(crate) const REPLAY_ALL: &str = "Replay all";
pub(crate) const CONFIRM_REPLAY_ALL: &str = "Replay all of this kind? What they say is sent to customers.";
pub(crate) const NEXT: &str = "Go on with the next ones";
/// A customer whose name is not known.
pub(crate) const A_CUSTOMER: &str = "a customer";
/// Around the customer.
pub(crate) const WITH: &str = "with {}";
pub(crate) const REPLAY: &str = "Replay";
pub(crate) const DISCARD: &str = "Discard";

/// How many were replayed, or would be.
pub(crate) fn replayed(count: usize, is_dry: bool) -> String {
    if is_dry { format!("{count} would be replayed.") } else { format!("{count} were replayed.") }
}

/// How many were not replayed, and why.
pub(crate) fn skipped(count: usize, why: &str) -> String {
    format!("{count} skipped: {why}.")
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

/// What to do about a failure of this class.
pub(crate) fn failure(class: &str) -> &'static str {
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
