//! How it goes.

use dmrelay_views::OverviewBar;

pub(crate) const RANGES: &str = "How far back";

pub(crate) const CUSTOMERS_WROTE: &str = "Customers wrote";
pub(crate) const ANSWERED_BY_BOT: &str = "Answered by the bot";
pub(crate) const MEDIAN_REPLY_TIME: &str = "Median reply time";
pub(crate) const MOST_REPLIES_WITHIN: &str = "95% of replies within";
pub(crate) const REPLY_TIME_HINT: &str = "from their message to ours";
pub(crate) const WAITING: &str = "Waiting now";
pub(crate) const WAITING_HINT: &str = "customers, for the bot";
pub(crate) const TO_BE_SENT: &str = "To be sent";
pub(crate) const TO_BE_SENT_HINT: &str = "conversations";
/// Around the time.
pub(crate) const LONGEST_WAIT: &str = "The customer who has waited longest wrote {}.";
pub(crate) const SEE_WAITING: &str = "See who is waiting";

/// Follows the service that is not called; around the time.
pub(crate) const NOT_CALLED_UNTIL: &str =
    "is not called until {}: it failed, or asked us to slow down. Nothing is lost.";

pub(crate) const MESSAGES: &str = "Messages";
pub(crate) const FROM_CUSTOMERS: &str = "from customers";
pub(crate) const SENT: &str = "sent";
pub(crate) const FAILED: &str = "failed";
pub(crate) const INCOMPLETE: &str = "Only the newest 20,000 are counted.";

/// The columns of the accounts.
pub(crate) const ACCOUNT_COLUMNS: [&str; 8] =
    ["Account", "Received", "By the bot", "By people", "Failed", "Answered", "Median reply", "95% within"];
pub(crate) const NO_ACCOUNT: &str = "No account is connected.";
pub(crate) const CONNECT_ONE: &str = "Connect one";

/// How far an overview looks back.
pub(crate) fn range(range: &str) -> &'static str {
    match range {
        "hour" => "Hour",
        "day" => "Day",
        _ => "Week",
    }
}

/// How many answers there were.
pub(crate) fn answers(count: i64) -> String {
    format!("{count} bot messages")
}

/// How many customers write, in tenths of a message per minute.
pub(crate) fn rate(tenths: i64) -> String {
    format!("{}.{} per minute recently", tenths / 10, tenths % 10)
}

/// A service that is not called at the moment.
pub(crate) fn service(service: &str) -> &'static str {
    match service {
        "agent" => "The agent's provider",
        _ => "Instagram",
    }
}

/// The chart in words.
pub(crate) fn chart(received: i64, sent: i64, failed: i64) -> String {
    format!("In all {received} messages from customers, {sent} sent, {failed} failed")
}

/// A bar of the chart in words; the script puts its time before them.
pub(crate) fn bar(bar: &OverviewBar) -> String {
    format!("{} received, {} sent, {} failed", bar.received, bar.sent, bar.failed)
}

/// A time to a reply.
pub(crate) fn duration(millis: Option<i64>) -> String {
    match millis {
        None => "–".to_owned(),
        Some(millis @ ..=999) => format!("{millis} ms"),
        Some(millis @ ..=9_999) => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        Some(millis @ ..=119_999) => format!("{} s", millis / 1_000),
        Some(millis) => format!("{} min", millis / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let said = [None, Some(420), Some(9_999), Some(42_000), Some(3_600_000)].map(duration);
        assert_eq!(said, ["–", "420 ms", "9.9 s", "42 s", "60 min"]);
    }
}
