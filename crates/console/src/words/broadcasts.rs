//! Texts of the page of broadcasts.

pub(crate) const INTRO: &str = "One message for many customers: those whose 24-hour window is open, never over a conversation that is \
    under way, and never to anybody who wrote STOP.";
pub(crate) const NONE: &str = "No broadcast yet.";
pub(crate) const NEW: &str = "A new broadcast";
pub(crate) const NAME: &str = "Name";
pub(crate) const NAME_EXAMPLE: &str = "Summer sale";
pub(crate) const ACCOUNT: &str = "Account";
pub(crate) const MESSAGE: &str = "Message";
pub(crate) const WRITTEN_HERE: &str = "written below";
pub(crate) const AUDIENCE: &str = "Audience (leave empty for everybody)";
pub(crate) const TAGS: &str = "With one of these tags";
pub(crate) const WITHOUT_TAGS: &str = "With none of these tags";
pub(crate) const TAGS_EXAMPLE: &str = "vip, newsletter";
pub(crate) const LANGUAGES: &str = "Languages";
pub(crate) const LANGUAGES_EXAMPLE: &str = "de, en";
pub(crate) const PER_MINUTE_EXAMPLE: &str = "60";
pub(crate) const ACTIVE: &str = "Wrote last";
pub(crate) const ANY_TIME: &str = "at any time";
pub(crate) const PER_MINUTE: &str = "Messages a minute";
pub(crate) const STARTS: &str = "Begins";
pub(crate) const AT_ONCE: &str = "at once";
pub(crate) const COUNT: &str = "Count customers";
pub(crate) const SEND: &str = "Send";
pub(crate) const SEND_CONFIRM: &str = "Send this to all of them?";
pub(crate) const PAUSE: &str = "Pause";
pub(crate) const RESUME: &str = "Go on";
pub(crate) const CANCEL: &str = "Cancel";
pub(crate) const CANCEL_CONFIRM: &str =
    "Cancel this broadcast? Anyone it has not reached yet will not get it.";
pub(crate) const PROGRESS: &str = "How far it has come";
pub(crate) const QUEUED: &str = "on the way";
pub(crate) const FAILED: &str = "not sent";
pub(crate) const UNKNOWN: &str = "perhaps sent";
pub(crate) const WINDOW_CLOSED: &str = "whose window is closed";
pub(crate) const OPTED_OUT: &str = "who want no broadcasts";
pub(crate) const HUMAN_ANSWERS: &str = "being answered by a colleague";
pub(crate) const AGENT_ANSWERS: &str = "being answered by the bot";
pub(crate) const NOT_FILLED: &str = "without a value for a variable";
pub(crate) const GONE: &str = "who are gone";

pub(crate) fn state(state: &str) -> &str {
    match state {
        "scheduled" => "waits",
        "running" => "under way",
        "paused" => "paused",
        "done" => "over",
        "cancelled" => "cancelled",
        other => other,
    }
}

pub(crate) fn progress(sent: u64, recipients: u64) -> String {
    format!("{sent} of {recipients} sent")
}

pub(crate) fn skipped(count: u64) -> String {
    format!("{count} skipped")
}

pub(crate) fn reach(ready: u64, recipients: u64) -> String {
    format!("{ready} of {recipients} customers would get it now")
}

pub(crate) fn unnamed(count: u64) -> String {
    format!("{count} of them have no known name: a message with {{{{name}}}} skips them.")
}

pub(crate) fn last_hours(hours: u32) -> String {
    if hours == 1 { "within the last hour".to_owned() } else { format!("within the last {hours} hours") }
}

pub(crate) fn in_hours(hours: u32) -> String {
    if hours == 1 { "in 1 hour".to_owned() } else { format!("in {hours} hours") }
}
