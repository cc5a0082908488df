//! The simulator's own clock: the machine's plus an offset set by tests.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

/// "2025-07-28T22:44:49+0000", as the Conversations API writes times.
const GRAPH_TIME: &[FormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+0000");

/// Milliseconds since the epoch, movable forward so that windows and silence can be tested without waiting.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn now_ms(&self) -> i64 {
        machine_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.offset_ms.fetch_add(as_ms(by), Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.offset_ms.store(0, Ordering::Relaxed);
    }
}

/// A duration in whole milliseconds.
pub(crate) fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The time as the Conversations API prints it, in whole seconds.
pub(crate) fn graph_time(ms: i64) -> String {
    OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000))
        .ok()
        .and_then(|at| at.format(GRAPH_TIME).ok())
        .unwrap_or_default()
}

fn machine_ms() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_whole_seconds() {
        assert_eq!(graph_time(1_753_742_689_999), "2025-07-28T22:44:49+0000");
    }

    #[test]
    fn the_clock_moves_forward_only_when_told() {
        let clock = Clock::default();
        let before = clock.now_ms();
        clock.advance(Duration::from_hours(25));
        assert!(clock.now_ms() - before >= 25 * 3_600_000);
    }
}
