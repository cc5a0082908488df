//! What a message costs, as Markdown.

use super::Report;
use super::conversations::Measured;
use crate::counts::{Counts, SENT_BY_CLIENTS, STATEMENTS, WAL_BYTES, Window};
use crate::pipeline::SETTLE;
use std::fmt::{self, Formatter};

/// What was counted in a stretch of time.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) window: Window,
    /// Transactions that were committed.
    pub(crate) transactions: f64,
}

/// The same by message, or by second.
pub(super) struct Costs<'a> {
    counted: &'a Counted,
    per: f64,
}

/// Columns of both tables. The peer's processes stand in those of api and worker.
const PROCESSES: [&str; 5] = ["api", "worker", "PostgreSQL", "Redis", "load"];

impl Measured {
    pub(super) fn costs(&self) -> Costs<'_> {
        #[expect(clippy::cast_precision_loss, reason = "so few messages fit a float")]
        let messages = self.talk.messages as f64;
        Costs { counted: &self.counted, per: messages }
    }
}

impl Costs<'_> {
    /// Nothing if PostgreSQL does not count them.
    pub(super) fn statements(&self) -> Option<f64> {
        self.counted.window.counts.find(STATEMENTS).map(|count| count / self.per)
    }

    pub(super) fn redis_commands(&self) -> f64 {
        self.counted.window.redis.get(SENT_BY_CLIENTS) / self.per
    }

    pub(super) fn wal_kb(&self) -> f64 {
        self.counted.window.counts.get(WAL_BYTES) / 1_000.0 / self.per
    }

    /// Milliseconds of processor time.
    pub(super) fn cpu_ms(&self, process: &str) -> Option<f64> {
        of_process(&self.counted.window.cpu, process).map(|seconds| seconds * 1_000.0 / self.per)
    }

    fn write_row(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let transactions = self.counted.transactions / self.per;
        let counts =
            [self.statements(), Some(transactions), Some(self.redis_commands()), Some(self.wal_kb())];
        let cells = counts.into_iter().chain(PROCESSES.map(|process| self.cpu_ms(process)));
        let cells: Vec<String> =
            cells.map(|cell| cell.map(|value| format!("{value:.2}")).unwrap_or_default()).collect();
        writeln!(f, "| {name} | {} |", cells.join(" | "))
    }
}

impl Report {
    pub(super) fn write_costs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.conversations().next().is_none() {
            return Ok(());
        }
        writeln!(f, "### What a message costs\n")?;
        writeln!(
            f,
            "Counted from the first message until {} s after the last answer. Statements are those without BEGIN, COMMIT and \
             ROLLBACK; commands to Redis those that clients send. Processor time is user and system, in milliseconds; `load` is \
             the simulator. The peer's processes stand in the columns of api and worker.\n",
            SETTLE.as_secs()
        )?;
        let processes = PROCESSES.join(" | ");
        writeln!(f, "| run | statements | transactions | to Redis | WAL, KB | CPU ms: {processes} |")?;
        writeln!(f, "|---|{}", "---:|".repeat(4 + PROCESSES.len()))?;
        for measured in self.conversations() {
            measured.costs().write_row(f, &measured.name)?;
        }
        if let Some(idle) = &self.idle {
            Costs { counted: idle, per: idle.window.seconds }.write_row(f, "nobody writes, by second")?;
        }
        writeln!(f, "\nPeak memory in MiB; PostgreSQL's at the end, its shared memory once:\n")?;
        writeln!(f, "| run | {processes} |")?;
        writeln!(f, "|---|{}", "---:|".repeat(PROCESSES.len()))?;
        for Measured { name, counted, .. } in self.conversations() {
            let cells = PROCESSES.map(|process| {
                let memory = of_process(&counted.window.memory_kb, process);
                memory.map(|kb| format!("{:.0}", kb / 1_024.0)).unwrap_or_default()
            });
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        writeln!(f)
    }
}

/// Of dmrelay's process or of the peer's.
fn of_process(counts: &Counts, process: &str) -> Option<f64> {
    counts.find(process).or_else(|| counts.find(&format!("peer {process}")))
}
