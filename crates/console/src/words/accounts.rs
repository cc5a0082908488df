//! The connected accounts, and their settings.

pub(crate) const NO_ACCOUNT: &str = "No account is connected yet.";
pub(crate) const NO_ACCOUNT_HINT: &str = "Connect one to see its conversations.";

pub(crate) const BOT_PAUSED: &str = "Bot paused";
pub(crate) const AGENT: &str = "Agent";
pub(crate) const LAST_EVENT: &str = "Last event";
pub(crate) const NO_EVENT: &str = "none yet";
pub(crate) const TOKEN_UNTIL: &str = "Token until";

/// The links to an account, which have QR codes.
pub(crate) const WRITE_TO_US: &str = "Write to us";
pub(crate) const PROFILE: &str = "Profile";
pub(crate) const PNG: &str = "PNG";
pub(crate) const SVG: &str = "SVG";

/// The page of QR codes for the printer.
pub(crate) const SHEET: &str = "QR codes to print";
pub(crate) const SHEET_HOW: &str = "Print this page and cut out the codes.";
pub(crate) const SHEET_BACK: &str = "Back to the accounts";
pub(crate) const SHEET_EMPTY: &str = "There is nothing to print: no account is connected.";

pub(crate) const CHECK_NOW: &str = "Check now";
pub(crate) const PAUSE_BOT: &str = "Pause the bot";
pub(crate) const RESUME_BOT: &str = "Let the bot answer";

pub(crate) const ANOTHER_AGENT: &str = "Another agent";
pub(crate) const NEW_AGENT: &str = "Agent that answers from now on";
pub(crate) const NEW_AGENT_HINT: &str = "Conversations go on with it; it is told what was said.";
pub(crate) const CHANGE_AGENT: &str = "Change agent";

pub(crate) const DISCONNECT_ASK: &str = "Disconnect…";
pub(crate) const DISCONNECT: &str = "Disconnect";
/// Around the handle.
pub(crate) const DISCONNECT_CONFIRM: &str =
    "Type {} to confirm. The history is kept; messages are no longer answered.";

pub(crate) const LOGIN_ENDED: &str =
    "Instagram no longer accepts the login: nothing is answered until the owner logs in again.";
pub(crate) const ALL_ACCOUNTS: &str = "All accounts";
pub(crate) const THIS_ACCOUNT: &str = "This account and its settings";
pub(crate) const SETTINGS: &str = "Settings";
pub(crate) const DEBOUNCE: &str = "Wait for more messages, in ms";
pub(crate) const TAKEOVER: &str = "Bot stays silent after a human writes, in hours";
pub(crate) const TYPING: &str = "Typing indicator";
pub(crate) const WRITING: &str = "Bot writes a character in, in ms";
pub(crate) const HUMAN_AGENT: &str = "Human Agent feature";
pub(crate) const FALLBACK_TEXT: &str = "If the bot fails, say";
pub(crate) const UNREADABLE_TEXT: &str = "If something cannot be read, say";
/// What is said if no text is set.
pub(crate) const NO_TEXT: &str = "nothing";
pub(crate) const AUTOMATIC_TEXTS: &str = "Texts Instagram sends automatically, one per line";
pub(crate) const AGENT_VARIABLES: &str = "Variables of the agent, as name=value, one per line";
pub(crate) const SEVERAL_LINES: &str = "The texts Instagram sends automatically and the variables of the \
    agent have several lines: change them over REST.";
pub(crate) const EMPTY_FIELDS: &str = "Empty fields use the operator's defaults.";
pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";
pub(crate) const SAVE: &str = "Save";

pub(crate) const LOG_IN_AGAIN: &str = "Log in again";
pub(crate) const CONNECT: &str = "Connect an account";
pub(crate) const CONNECT_HINT: &str = "You log in at Meta as the owner of the account, and come back here.";
pub(crate) const FIRST_AGENT: &str = "Agent that answers";

/// The choice of what the operator has: on or off.
pub(crate) fn default(is_on: bool) -> String {
    format!("default ({})", if is_on { ON } else { OFF })
}

pub(crate) fn qr_code(link: &str) -> String {
    format!("QR code: {link}")
}

pub(crate) fn log_in_with(name: &str) -> String {
    format!("Log in with {name}")
}

/// The state of a connection.
pub(crate) fn connection(status: &str) -> &'static str {
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
pub(crate) fn connect_outcome(status: &str, error: Option<&str>) -> String {
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
        (_, Some("wrong-account")) => {
            "Nothing was connected: that was another account. Choose the one that you want to log in again."
                .to_owned()
        }
        (_, Some(error)) => format!("Nothing was connected: {}.", error.replace('-', " ")),
        _ => "Nothing was connected.".to_owned(),
    }
}

/// What is checked.
pub(crate) fn check(check: &str) -> String {
    super::sentence_case(check)
}

/// What a check found.
pub(crate) fn check_state(state: &str) -> &'static str {
    match state {
        "ok" => "fine",
        "warning" => "needs attention",
        "failing" => "broken",
        _ => "not known",
    }
}

/// What was just done with an account, where the card does not show it.
pub fn done(deed: &str) -> Option<&'static str> {
    match deed {
        "settings" => Some("Saved."),
        "check" => Some("Checked."),
        _ => None,
    }
}
