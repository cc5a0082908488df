//! What the run says while it is under way, on standard error.

pub(crate) fn say(what: &str) {
    eprintln!("· {what}");
}
