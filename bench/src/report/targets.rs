//! What the numbers are held to.

use super::Report;
use super::conversations::{Level, Measured};
use std::fmt::{self, Formatter};

/// A figure beside what it is held to.
struct Target {
    what: &'static str,
    limit: Limit,
    /// Nothing if it was not measured.
    measured: Option<f64>,
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Target {
    fn new(what: &'static str, limit: Limit, measured: Option<f64>) -> Self {
        Self { what, limit, measured }
    }
}

impl Limit {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(limit) => measured >= limit,
            Self::AtMost(limit) => measured <= limit,
            Self::Below(limit) => measured < limit,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(limit) => write!(f, "≥ {limit}"),
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::Below(limit) => write!(f, "< {limit}"),
        }
    }
}

/// The level of saturation, and the rates, that are held to something.
const IN_FLIGHT: u16 = 256;
const BUSY: u32 = 400;
const ALONE: u32 = 4;

impl Report {
    pub(super) fn write_targets(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Held to\n")?;
        writeln!(f, "| | hold to | measured | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        let targets = [self.saturated_targets(), self.steady_targets(), self.fault_targets()];
        for Target { what, limit, measured } in targets.into_iter().flatten() {
            match measured {
                Some(measured) => {
                    let verdict = if limit.holds(measured) { "reached" } else { "**missed**" };
                    writeln!(f, "| {what} | {limit} | {} | {verdict} |", number(measured))?;
                }
                None => writeln!(f, "| {what} | {limit} | | not measured |")?,
            }
        }
        writeln!(f)
    }

    fn saturated_targets(&self) -> Vec<Target> {
        use Limit::{AtLeast, AtMost};
        let level = self.level(IN_FLIGHT);
        let of = |figure: fn(&Measured) -> Option<f64>| level.and_then(|level| figure(&level.dmrelay));
        vec![
            Target::new("acknowledgements, api / floor", AtLeast(0.7), self.acks.median_ratio()),
            Target::new(
                "answered a second, 256 in flight",
                AtLeast(1_200.0),
                of(|it| Some(it.talk.per_second())),
            ),
            Target::new("dmrelay / peer, 256 in flight", AtLeast(1.0), level.and_then(Level::ratio)),
            Target::new("statements a message, 256 in flight", AtMost(3.0), of(|it| it.costs().statements())),
            Target::new(
                "PostgreSQL CPU, ms a message, 256 in flight",
                AtMost(0.45),
                of(|it| it.costs().cpu_ms("PostgreSQL")),
            ),
            Target::new(
                "commands to Redis a message, 256 in flight",
                AtMost(10.0),
                of(|it| Some(it.costs().redis_commands())),
            ),
            Target::new("WAL, KB a message, 256 in flight", AtMost(9.0), of(|it| Some(it.costs().wal_kb()))),
        ]
    }

    fn steady_targets(&self) -> Vec<Target> {
        use Limit::AtMost;
        let busy = |figure: fn(&Measured) -> Option<f64>| self.at_rate(BUSY).and_then(figure);
        let alone = self.at_rate(ALONE).and_then(|it| it.costs().statements());
        let p50 = busy(|it| Some(it.talk.reply.p50.as_secs_f64() * 1_000.0));
        let p99 = busy(|it| Some(it.talk.reply.p99.as_secs_f64() * 1_000.0));
        vec![
            Target::new("p50 at 400 a second, ms", AtMost(75.0), p50),
            Target::new("p99 at 400 a second, ms", AtMost(150.0), p99),
            Target::new(
                "statements a message, 400 a second",
                AtMost(15.0),
                busy(|it| it.costs().statements()),
            ),
            Target::new(
                "PostgreSQL CPU, ms a message, 400 a second",
                AtMost(1.5),
                busy(|it| it.costs().cpu_ms("PostgreSQL")),
            ),
            Target::new("statements a message, 4 a second", AtMost(45.0), alone),
        ]
    }

    fn fault_targets(&self) -> Vec<Target> {
        use Limit::Below;
        let reply = self.faults.as_ref().map(|(measured, _)| measured.talk.reply);
        let seconds = |of: fn(crate::pipeline::Percentiles) -> std::time::Duration| {
            reply.map(|it| of(it).as_secs_f64())
        };
        vec![
            Target::new("p50 while calls fail, s", Below(0.5), seconds(|it| it.p50)),
            Target::new("p99 while calls fail, s", Below(25.0), seconds(|it| it.p99)),
        ]
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
