//! Limits how often the same place of the program warns: an outage says the same of every message, thousands of times, and buries
//! what else happens. Metrics count what is left out here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

/// The period in which lines are counted.
const PERIOD: Duration = Duration::from_mins(1);

/// How many warnings and errors each place has written.
pub(super) struct Limit {
    /// Maximum number of lines of a place within [`PERIOD`]; 0 for any number.
    lines_max: u32,
    places: Mutex<HashMap<Identifier, Place>>,
}

struct Place {
    began: Instant,
    lines: u32,
    left_out: u32,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is written, after so many like it that were not.
    Written(u32),
    /// It is left out.
    LeftOut,
}

impl Limit {
    pub(super) fn new(lines_max: u32) -> Self {
        Self { lines_max, places: Mutex::default() }
    }

    pub(super) fn admit(&self, line: &Metadata<'_>) -> Admission {
        // Lower levels are one line for each request and job, and are the record of what happened.
        if self.lines_max == 0 || *line.level() > Level::WARN {
            return Admission::Written(0);
        }
        self.admit_at(line.callsite(), Instant::now())
    }

    fn admit_at(&self, place: Identifier, now: Instant) -> Admission {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(place).or_insert(Place { began: now, lines: 0, left_out: 0 });
        let mut left_out = 0;
        if now.duration_since(place.began) >= PERIOD {
            left_out = place.left_out;
            *place = Place { began: now, lines: 0, left_out: 0 };
        }
        if place.lines >= self.lines_max {
            place.left_out += 1;
            return Admission::LeftOut;
        }
        place.lines += 1;
        Admission::Written(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Callsite;
    use tracing::metadata::Kind;

    struct Warns;

    impl Callsite for Warns {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &WARNS
        }
    }

    static CALLSITE: Warns = Warns;
    static WARNS: Metadata<'static> = Metadata::new(
        "event",
        "dmrelay",
        Level::WARN,
        None,
        None,
        None,
        tracing::field::FieldSet::new(&[], Identifier(&CALLSITE)),
        Kind::EVENT,
    );

    #[test]
    fn a_place_writes_so_many_lines_a_minute_and_then_says_how_many_were_left_out() {
        let (limit, now) = (Limit::new(2), Instant::now());
        let at = |seconds| limit.admit_at(WARNS.callsite(), now + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1)], [Admission::Written(0); 2]);
        assert_eq!([at(2), at(30), at(59)], [Admission::LeftOut; 3]);
        assert_eq!([at(60), at(61)], [Admission::Written(3), Admission::Written(0)]);
        assert_eq!(at(62), Admission::LeftOut);
        assert_eq!(at(300), Admission::Written(1));
    }

    #[test]
    fn without_a_limit_every_line_is_written() {
        let limit = Limit::new(0);
        assert!((0..1_000).all(|_| limit.admit(&WARNS) == Admission::Written(0)));
    }
}
