//! What was counted, as Markdown.

use super::backlog::Backlog;
use super::stage::{Staged, thousands};
use super::tables::Table;
use crate::args::Scale;
use crate::counts::statements::{Runs, Statements, shorten};
use crate::counts::{EMPTY, FLUSHES, SENT_BY_CLIENTS, STATEMENTS, WAL_BYTES, Window};
use crate::pipeline::Talk;
use std::collections::BTreeSet;
use std::fmt;

/// Everything, stage by stage.
#[derive(Debug)]
pub(super) struct Report {
    args: Scale,
    machine: Vec<String>,
    stages: Vec<Staged>,
}

/// Statements that are listed.
const LISTED: usize = 45;

/// Statements that are listed by the time they take.
const SLOWEST: usize = 12;

/// What is less is not listed, and nothing is compared with it.
const OFTEN: f64 = 0.05;

type Cell = Box<dyn Fn(&Staged) -> Option<f64>>;

impl Report {
    pub(super) fn new(args: &Scale, machine: Vec<String>) -> Self {
        Self { args: args.clone(), machine, stages: Vec::new() }
    }

    pub(super) fn add(&mut self, stage: Staged) {
        self.stages.push(stage);
    }

    pub(super) fn exactly_once(&self) -> bool {
        let talks = self.stages.iter().flat_map(|stage| [&stage.first.0, &stage.counted.0]);
        !self.stages.is_empty() && talks.into_iter().all(Talk::exactly_once)
    }

    /// A table with a column for each stage; beside each value its ratio to the first stage's.
    fn table(&self, f: &mut fmt::Formatter<'_>, rows: &[(String, Cell)]) -> fmt::Result {
        write!(f, "| |")?;
        for stage in &self.stages {
            write!(f, " stage {} |", stage.number)?;
        }
        writeln!(f, "\n|---|{}", "---:|".repeat(self.stages.len()))?;
        for (name, cell) in rows {
            write!(f, "| {name} |")?;
            let first = self.stages.first().and_then(cell).filter(|first| first.abs() > OFTEN);
            for (place, stage) in self.stages.iter().enumerate() {
                match (cell(stage), first) {
                    (None, _) => write!(f, " |")?,
                    (Some(value), Some(first)) if place > 0 => {
                        write!(f, " {} (×{:.2}) |", number(value), value / first)?;
                    }
                    (Some(value), _) => write!(f, " {} |", number(value))?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f)
    }

    fn write_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale { messages, users, at_once, idle_seconds, .. } = &self.args;
        writeln!(f, "### Stages\n")?;
        writeln!(
            f,
            "In each, {users} users write once; {idle_seconds} s nothing happens; then come the {messages} messages that count, \
             of the same users, at most {at_once} at a time (more with a debounce). What the idle system would have done \
             meanwhile is taken off.\n"
        )?;
        writeln!(f, "| stage | | messages | seconds | answered |")?;
        writeln!(f, "|---:|---|---:|---:|---|")?;
        for stage in &self.stages {
            let (talk, window) = &stage.counted;
            let verdict = if talk.exactly_once() && stage.first.0.exactly_once() {
                "each exactly once".to_owned()
            } else {
                format!("**not exactly once**: {talk:?}")
            };
            let (number, title) = (stage.number, stage.stage.title());
            writeln!(f, "| {number} | {title} | {} | {:.0} | {verdict} |", talk.messages, window.seconds)?;
        }
        writeln!(f)
    }

    fn write_message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### One answered message\n")?;
        writeln!(f, "Its event, its echo's event, the question and the send included.\n")?;
        let mut rows: Vec<(String, Cell)> = Vec::new();
        let names = self.stages.first().map(|stage| stage.counted.1.counts.0.clone()).unwrap_or_default();
        for (name, _) in names {
            let key = name.clone();
            rows.push((
                name,
                Box::new(move |stage| Some(per_message(stage, stage.counted.1.counts.get(&key)))),
            ));
        }
        let log = |of: fn((f64, f64, f64)) -> f64| -> Cell {
            Box::new(move |stage| stage.log.map(|log| per_message(stage, of(log))))
        };
        rows.push(("WAL records (idle share included)".to_owned(), log(|log| log.0)));
        rows.push(("their bytes".to_owned(), log(|log| log.1)));
        rows.push(("bytes of whole pages, the first change after a checkpoint".to_owned(), log(|log| log.2)));
        let calls: BTreeSet<String> =
            self.stages.iter().flat_map(|stage| stage.calls.0.iter().map(|(name, _)| name.clone())).collect();
        for name in calls {
            let key = name.clone();
            rows.push((
                format!("calls: {name}"),
                Box::new(move |stage| Some(per_message(stage, stage.calls.get(&key)))),
            ));
        }
        self.table(f, &rows)?;
        writeln!(f, "### The first message of a user: an account's agent opens a chat for it\n")?;
        let rows = [STATEMENTS, FLUSHES, WAL_BYTES].map(|name| -> (String, Cell) {
            let of = move |(talk, window): &(Talk, Window)| window.counts.get(name) / float(talk.messages);
            (name.to_owned(), Box::new(move |stage| Some(of(&stage.first))))
        });
        self.table(f, &rows)
    }

    fn write_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Rows, by message\n")?;
        writeln!(
            f,
            "An update leaves a dead row for vacuum. One that is HOT changes no index. Idle shares included.\n"
        )?;
        let mut rows: Vec<(String, Cell)> = vec![
            ("transactions, as PostgreSQL counts".to_owned(), Box::new(|stage| Some(stage.tables.commits))),
            ("rolled back".to_owned(), Box::new(|stage| Some(stage.tables.rollbacks))),
        ];
        let sum = |of: fn(&Table) -> f64| -> Cell { Box::new(move |stage| Some(stage.tables.sum(of))) };
        rows.push(("rows inserted".to_owned(), sum(|table| table.inserted)));
        rows.push(("rows updated".to_owned(), sum(|table| table.updated)));
        rows.push(("of them HOT".to_owned(), sum(|table| table.hot)));
        rows.push(("growth of all tables and indexes, bytes".to_owned(), sum(|table| table.bytes)));
        for table in ["chats", "messages", "turns", "events", "activities"] {
            let of = move |of: fn(&Table) -> f64| -> Cell {
                Box::new(move |stage| stage.tables.of_each.get(table).map(of))
            };
            rows.push((format!("{table}: inserted"), of(|table| table.inserted)));
            rows.push((format!("{table}: updated"), of(|table| table.updated)));
            rows.push((format!("{table}: of them HOT"), of(|table| table.hot)));
            rows.push((format!("{table}: growth, bytes"), of(|table| table.bytes)));
        }
        self.table(f, &rows)
    }

    fn write_redis(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Redis, by message\n")?;
        writeln!(
            f,
            "Fetches that found no job are taken off with all they cause. Commands by name are those that scripts run inside of \
             Redis as well.\n"
        )?;
        let first = self.stages.first().map(|stage| &stage.counted.1);
        let whole = first.map(|window| window.redis.0.clone()).unwrap_or_default();
        let mut rows: Vec<(String, Cell)> = Vec::new();
        for (name, _) in whole.into_iter().filter(|(name, _)| name != EMPTY) {
            let key = name.clone();
            rows.push((
                name,
                Box::new(move |stage| Some(per_message(stage, stage.counted.1.redis.get(&key)))),
            ));
        }
        for (name, runs) in first.map(|window| window.commands.0.clone()).unwrap_or_default() {
            if self.stages.first().is_some_and(|stage| per_message(stage, runs) > OFTEN) {
                let key = name.clone();
                let of = move |stage: &Staged| per_message(stage, stage.counted.1.commands.get(&key));
                rows.push((format!("`{name}`"), Box::new(move |stage| Some(of(stage)))));
            }
        }
        rows.push((
            "memory at its peak since the start, KiB".to_owned(),
            Box::new(|stage| Some(count(stage.redis_peak / 1_024))),
        ));
        self.table(f, &rows)
    }

    fn write_cpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Processor time, milliseconds by message\n")?;
        writeln!(
            f,
            "Only the ratios say something, and of them only large ones: the statements are counted meanwhile.\n"
        )?;
        let rows = ["api", "worker", "PostgreSQL", "Redis"].map(|name| -> (String, Cell) {
            let of = move |stage: &Staged| per_message(stage, stage.counted.1.cpu.get(name) * 1_000.0);
            (name.to_owned(), Box::new(move |stage| Some(of(stage))))
        });
        self.table(f, &rows)
    }

    fn write_idle(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Nothing to do, by second\n")?;
        let mut rows: Vec<(String, Cell)> = Vec::new();
        let names = self.stages.first().map(|stage| stage.idle.counts.0.clone()).unwrap_or_default();
        for (name, _) in names {
            let key = name.clone();
            rows.push((name, Box::new(move |stage| Some(stage.idle.counts.get(&key) / stage.idle.seconds))));
        }
        for (name, _) in self.stages.first().map(|stage| stage.idle.redis.0.clone()).unwrap_or_default() {
            let key = name.clone();
            let of = move |stage: &Staged| stage.idle.redis.get(&key) / stage.idle.seconds;
            rows.push((format!("Redis: {name}"), Box::new(move |stage| Some(of(stage)))));
        }
        for name in ["api", "worker", "PostgreSQL", "Redis"] {
            let of = move |stage: &Staged| stage.idle.cpu.get(name) * 100.0 / stage.idle.seconds;
            rows.push((format!("{name}: % of a processor"), Box::new(move |stage| Some(of(stage)))));
        }
        let retention = |of: fn(Runs) -> f64| -> Cell { Box::new(move |stage| stage.retention.map(of)) };
        rows.push((
            "every 10 min, looking for what is kept no longer: pages".to_owned(),
            retention(|runs| runs.pages),
        ));
        rows.push(("milliseconds of that".to_owned(), retention(|runs| runs.ms)));
        rows.push((
            "connections to PostgreSQL".to_owned(),
            Box::new(|stage| Some(count(stage.connections.0))),
        ));
        rows.push(("connections to Redis".to_owned(), Box::new(|stage| Some(count(stage.connections.1)))));
        self.table(f, &rows)?;
        writeln!(f, "### One scrape of a worker's metrics\n")?;
        let rows: [(String, Cell); 3] = [
            ("series".to_owned(), Box::new(|stage| stage.scrape.map(|scrape| float(scrape.series)))),
            ("bytes".to_owned(), Box::new(|stage| stage.scrape.map(|scrape| float(scrape.bytes)))),
            (
                "milliseconds".to_owned(),
                Box::new(|stage| stage.scrape.map(|scrape| scrape.took.as_secs_f64() * 1_000.0)),
            ),
        ];
        self.table(f, &rows)
    }

    fn write_statements(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(first), Some(last)) = (self.stages.first(), self.stages.last()) else { return Ok(()) };
        writeln!(f, "### Statements of a message, stage {}\n", first.number)?;
        let messages = float(first.counted.0.messages);
        let own = &first.counted.1.statements;
        list(f, own, |own| own.top(LISTED, |runs| runs.calls), (messages, "a message", OFTEN))?;
        let ends = if first.number == last.number { vec![first] } else { vec![first, last] };
        for stage in &ends {
            writeln!(f, "### Those that take the most time, stage {}\n", stage.number)?;
            let messages = float(stage.counted.0.messages);
            let own = &stage.counted.1.statements;
            list(f, own, |own| own.top(SLOWEST, |runs| runs.ms), (messages, "a message", 0.0))?;
        }
        for stage in ends {
            writeln!(f, "### Statements of an idle system, stage {}\n", stage.number)?;
            idle_statements(f, &stage.idle)?;
        }
        Ok(())
    }

    fn write_sweep(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((stage, backlog)) =
            self.stages.iter().find_map(|stage| stage.backlog.as_ref().map(|backlog| (stage, backlog)))
        else {
            return Ok(());
        };
        let Backlog { turns, waiting, drains, quiet } = backlog;
        writeln!(f, "### The sweep, on the tables of stage {}\n", stage.number)?;
        writeln!(
            f,
            "{turns} turns made due at once, in which there is nothing to ask. Its fastest is that of a tenth of a second.\n"
        )?;
        writeln!(
            f,
            "| workers | seconds | turns a second | at its fastest, a second | handed out again | leaders at a time | \
             statements by turn | commands to Redis by turn | % of a processor: PostgreSQL | workers |"
        )?;
        writeln!(f, "|{}", "---:|".repeat(10))?;
        for drain in drains {
            let (turns, window) = (count((*turns).into()), &drain.window);
            let cells = [
                count(drain.workers.into()),
                drain.took.as_secs_f64(),
                turns / drain.took.as_secs_f64(),
                drain.best,
                drain.claimed - turns,
                drain.leaders,
                window.counts.get(STATEMENTS) / turns,
                window.redis.get(SENT_BY_CLIENTS) / turns,
                window.cpu.get("PostgreSQL") * 100.0 / window.seconds,
                window.cpu.get("worker") * 100.0 / window.seconds,
            ];
            writeln!(f, "| {} |", cells.map(number).join(" | "))?;
        }
        writeln!(f)?;
        for drain in drains {
            writeln!(f, "By turn, {} workers:\n", drain.workers)?;
            let own = &drain.window.statements;
            list(f, own, |own| own.top(6, |runs| runs.ms), (count((*turns).into()), "a turn", 0.0))?;
        }
        writeln!(f, "### An idle system with {turns} turns that are due in an hour\n")?;
        idle_statements(f, waiting)?;
        writeln!(f, "### An idle system with {} accounts\n", thousands(quiet.0))?;
        idle_statements(f, &quiet.1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.machine {
            writeln!(f, "- {line}")?;
        }
        writeln!(f)?;
        self.write_stages(f)?;
        self.write_message(f)?;
        self.write_rows(f)?;
        self.write_redis(f)?;
        self.write_cpu(f)?;
        self.write_idle(f)?;
        self.write_statements(f)?;
        self.write_sweep(f)?;
        for complaint in self.stages.iter().flat_map(|stage| &stage.complaints) {
            writeln!(f, "{complaint}")?;
        }
        Ok(())
    }
}

fn idle_statements(f: &mut fmt::Formatter<'_>, idle: &Window) -> fmt::Result {
    list(f, &idle.statements, |all| all.top(LISTED, |runs| runs.ms), (idle.seconds, "a second", 0.0))
}

/// Statements with how often they run and what a run takes; those that run less `often` are left out.
fn list(
    f: &mut fmt::Formatter<'_>,
    statements: &Statements,
    pick: impl Fn(&Statements) -> Vec<(&String, &Runs)>,
    (per, what, often): (f64, &str, f64),
) -> fmt::Result {
    writeln!(f, "| statement | {what} | plans | rows | pages | ms a run | WAL bytes a run |")?;
    writeln!(f, "|---|---:|---:|---:|---:|---:|---:|")?;
    for (text, runs) in pick(statements) {
        let calls = runs.calls / per;
        if calls <= often {
            continue;
        }
        let each = runs.each();
        writeln!(
            f,
            "| `{}` | {calls:.2} | {:.2} | {} | {} | {:.3} | {} |",
            shorten(text),
            each.plans,
            number(each.rows),
            number(each.pages),
            each.ms,
            number(each.wal_bytes)
        )?;
    }
    writeln!(f)
}

fn per_message(stage: &Staged, count: f64) -> f64 {
    count / float(stage.counted.0.messages)
}

/// As many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        // Not `-0.00`.
        small if small < 0.005 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run fit a float")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run fit a float")]
fn count(count: u64) -> f64 {
    count as f64
}
