//! Texts of the page of notifications.

pub(crate) const INTRO: &str = "Who is notified when something is wrong, by a signed webhook or by e-mail.";
pub(crate) const WRONG_NOW: &str = "What is wrong now";
pub(crate) const ALL_WELL: &str = "Nothing is wrong.";
pub(crate) const SINCE: &str = "since";
pub(crate) const TARGETS: &str = "Who is notified";
pub(crate) const NO_TARGET: &str = "Nobody is notified yet. Add somebody below.";
pub(crate) const WHERE: &str = "Where";
pub(crate) const OF_WHAT: &str = "About";
pub(crate) const OF_ALL: &str = "everything";
pub(crate) const STATE: &str = "State";
pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";
pub(crate) const ACTS: &str = "What can be done";
pub(crate) const TEST: &str = "Send a test";
pub(crate) const ENABLE: &str = "Turn on";
pub(crate) const DISABLE: &str = "Turn off";
pub(crate) const ROTATE: &str = "New secret";
pub(crate) const ROTATE_CONFIRM: &str =
    "Make a new secret? The former one signs as well for a day, so that the receiver can change over.";
pub(crate) const REMOVE: &str = "Remove";
pub(crate) const REMOVE_CONFIRM: &str = "Remove it, with all that it was told?";
pub(crate) const NEW: &str = "Notify somebody";
pub(crate) const BY: &str = "How";
pub(crate) const BY_WEBHOOK: &str = "webhook";
pub(crate) const BY_EMAIL: &str = "e-mail";
pub(crate) const ADDRESS: &str = "URL or e-mail address";
pub(crate) const ADDRESS_EXAMPLE: &str = "https://hooks.example.com/dmrelay";
pub(crate) const NAME: &str = "Name";
pub(crate) const NAME_EXAMPLE: &str = "Operations";
pub(crate) const KINDS: &str = "About what (nothing ticked: about everything)";
pub(crate) const ADD: &str = "Add";
pub(crate) const SECRET: &str = "The secret of the webhook. Copy it now: it is not shown again. ";
pub(crate) const LATELY: &str = "Latest notifications";
pub(crate) const NOTHING_TOLD: &str = "Nothing yet.";
pub(crate) const WHEN: &str = "When";
pub(crate) const WHOM: &str = "To";
pub(crate) const WHAT: &str = "What";
pub(crate) const OUTCOME: &str = "Outcome";
pub(crate) const A_TEST: &str = "a test";
pub(crate) const GONE: &str = "removed since";

/// How the last attempt went: the receiver's code, or why there was none.
pub(crate) fn attempt(status: Option<u16>, error: Option<&str>) -> String {
    match (error, status) {
        (Some(error), _) => error.to_owned(),
        (None, Some(status)) => format!("the receiver answered with {status}"),
        (None, None) => String::new(),
    }
}

/// What is told: that it began, or that it is over.
pub(crate) fn told(kind: &str, title: &str) -> String {
    if kind == "incident.resolved" { format!("over: {title}") } else { title.to_owned() }
}
