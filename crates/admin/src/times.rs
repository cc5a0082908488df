//! Parsing and formatting of times and durations.

use dmrelay_domain::clock::{Millis, millis};
use dmrelay_runtime::settings;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// With milliseconds, so that the times of a list are aligned.
const FORM: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A UTC time.
pub(super) fn shown(at: Millis) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok();
    at.and_then(|at| at.format(FORM).ok()).unwrap_or_default()
}

/// A duration with reasonable precision: `3d 4h`, `12m 5s`, `1.2s`, `800ms`.
pub(super) fn span(length: Millis) -> String {
    const UNITS: [(&str, Millis); 4] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let sign = if length < 0 { "-" } else { "" };
    let length = length.saturating_abs();
    let two = UNITS.windows(2).find_map(|pair| match pair {
        [(unit, size), (finer, part)] if length >= *size => {
            Some((length / size, *unit, length % size / part, *finer))
        }
        _ => None,
    });
    match two {
        Some((whole, unit, 0, _)) => format!("{sign}{whole}{unit}"),
        Some((whole, unit, rest, finer)) => format!("{sign}{whole}{unit} {rest}{finer}"),
        None if length >= 1_000 => format!("{sign}{}.{}s", length / 1_000, length % 1_000 / 100),
        None => format!("{sign}{length}ms"),
    }
}

/// A moment in the past, as given by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// This time.
    At(Millis),
    /// This long ago.
    Ago(Millis),
}

impl Moment {
    /// The time it refers to.
    pub(super) fn before(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Ago(length) => now.saturating_sub(length),
        }
    }
}

/// Parses a time like `2026-11-22T17:30:00Z`, or a duration before now: `36h`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(length) = settings::duration(text) {
        return Ok(Moment::Ago(millis(length)));
    }
    let at = dmrelay_views::parse_time(text)
        .map_err(|what| format!("{what}, or a duration before now, e.g. 36h or 7d"))?;
    Ok(Moment::At(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_with_reasonable_precision() {
        for (length, text) in [
            (0, "0ms"),
            (800, "800ms"),
            (1_549, "1.5s"),
            (-1_500, "-1.5s"),
            (62_000, "1m 2s"),
            (3_600_000, "1h"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(span(length), text);
        }
    }

    #[test]
    fn a_moment_is_a_time_or_a_duration_before_now() {
        assert_eq!(moment("36h").map(|moment| moment.before(129_600_001)), Ok(1));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(Moment::At(1_000)));
        assert!(moment("yesterday").unwrap_err().contains("or a duration before now"));
        assert_eq!(shown(1_500), "1970-01-01T00:00:01.500Z");
    }
}
