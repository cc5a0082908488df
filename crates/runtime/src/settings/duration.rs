//! Durations in readable form: `250ms`, `30s`, `5m`, `36h`, `7d`.

use std::time::Duration;

/// The same, of a duration that must not be zero: a timeout or an interval.
///
/// # Errors
/// What is wrong with the text, in readable form.
pub fn positive(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

/// The same, of at least two days: a retention, within which nothing is deleted that a conversation still needs.
///
/// # Errors
/// What is wrong with the text, in readable form.
pub fn days(text: &str) -> Result<Duration, String> {
    let duration = parse(text)?;
    if duration < Duration::from_hours(48) { Err("must be at least 2d".to_owned()) } else { Ok(duration) }
}

/// Parses a number with its unit.
///
/// # Errors
/// What is wrong with the text, in readable form.
pub fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a duration such as 30s"))?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("{text:?} needs a unit: ms, s, m, h or d")),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| format!("{text:?} is too long"))
}
