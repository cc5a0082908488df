//! Times and JSON in views.

use dmrelay_domain::clock::Millis;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// RFC 3339 in UTC, always with milliseconds: texts of one length, which sort as the times do.
const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Milliseconds as an RFC 3339 time in UTC.
pub fn time(millis: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?.format(FORM).ok()
}

/// Parses an RFC 3339 time into milliseconds.
///
/// # Errors
/// What is wrong with the text, in readable form.
pub fn parse_time(text: &str) -> Result<Millis, &'static str> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok();
    let millis = at.and_then(|at| Millis::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    millis.ok_or("must be a time like 2026-11-22T17:30:00Z (RFC 3339)")
}

/// The word of a reason: one that a message in the Instagram app gave is stored with the id of that message.
pub(crate) fn word_of(reason: &str) -> &str {
    reason.split(':').next().unwrap_or(reason)
}

/// Details of an activity, in which times are texts as everywhere.
pub fn timed(mut details: Value) -> Value {
    for (name, value) in details.as_object_mut().into_iter().flatten() {
        let millis = value.as_i64().filter(|_| name.ends_with("Until") || name.ends_with("At"));
        if let Some(text) = millis.and_then(time) {
            *value = text.into();
        }
    }
    details
}

/// A time that every row has.
pub(crate) fn always(millis: i64) -> String {
    time(millis).unwrap_or_default()
}

/// Parses JSON stored as text.
pub(crate) fn parsed(text: Option<&String>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}
