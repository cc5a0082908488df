//! What was counted, as Markdown.

mod statements;

use super::fleet::Scrape;
use super::stage::Staged;
use super::tables::Table;
use crate::args::Scale;
use crate::counts::statements::Runs;
use crate::counts::{Counts, EMPTY, FLUSHES, STATEMENTS, WAL_BYTES, Window};
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

/// Whose processor time is shown.
const PROCESSES: [&str; 4] = ["api", "worker", "PostgreSQL", "Redis"];

/// Counts below this are not listed and not compared.
const OFTEN: f64 = 0.05;

/// What a stage has in a row, if anything.
type Cell = Box<dyn Fn(&Staged) -> Option<f64>>;

/// A row of a table with a column for each stage.
struct Row {
    name: String,
    cell: Cell,
}

impl Row {
    fn new(name: impl Into<String>, cell: impl Fn(&Staged) -> Option<f64> + 'static) -> Self {
        Self { name: name.into(), cell: Box::new(cell) }
    }

    /// A count of the window of counted messages, by message.
    fn by_message(name: &str, counts: fn(&Window) -> &Counts) -> Self {
        let key = name.to_owned();
        Self::new(name, move |stage| Some(per_message(stage, counts(&stage.counted.1).get(&key))))
    }

    /// A count of the idle window, by second.
    fn by_second(title: String, name: &str, counts: fn(&Window) -> &Counts) -> Self {
        let key = name.to_owned();
        Self::new(title, move |stage| Some(counts(&stage.idle).get(&key) / stage.idle.seconds))
    }
}

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
    fn table(&self, f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
        write!(f, "| |")?;
        for stage in &self.stages {
            write!(f, " stage {} |", stage.number)?;
        }
        writeln!(f, "\n|---|{}", "---:|".repeat(self.stages.len()))?;
        for Row { name, cell } in rows {
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
        let counts: fn(&Window) -> &Counts = |window| &window.counts;
        let counted = self.stages.first().map(|stage| names(&stage.counted.1.counts)).unwrap_or_default();
        let mut rows: Vec<Row> = counted.iter().map(|name| Row::by_message(name, counts)).collect();
        let log = |name: &str, of: fn((f64, f64, f64)) -> f64| {
            Row::new(name, move |stage| stage.log.map(|log| per_message(stage, of(log))))
        };
        rows.push(log("WAL records (idle share included)", |log| log.0));
        rows.push(log("their bytes", |log| log.1));
        rows.push(log("bytes of whole pages, the first change after a checkpoint", |log| log.2));
        let calls: BTreeSet<String> = self.stages.iter().flat_map(|stage| names(&stage.calls)).collect();
        for name in calls {
            rows.push(Row::new(format!("calls: {name}"), move |stage| {
                Some(per_message(stage, stage.calls.get(&name)))
            }));
        }
        self.table(f, &rows)?;
        writeln!(f, "### The first message of a user: an account's agent opens a chat for it\n")?;
        let rows = [STATEMENTS, FLUSHES, WAL_BYTES].map(|name| {
            Row::new(name, move |stage| {
                let (talk, window) = &stage.first;
                Some(window.counts.get(name) / float(talk.messages))
            })
        });
        self.table(f, &rows)
    }

    fn write_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Rows, by message\n")?;
        writeln!(
            f,
            "An update leaves a dead row for vacuum. One that is HOT changes no index. Idle shares included.\n"
        )?;
        let sum = |name: &str, of: fn(&Table) -> f64| {
            Row::new(name, move |stage: &Staged| Some(stage.tables.sum(of)))
        };
        let mut rows = vec![
            Row::new("transactions committed", |stage| Some(stage.tables.commits)),
            Row::new("rolled back", |stage| Some(stage.tables.rollbacks)),
            sum("rows inserted", |table| table.inserted),
            sum("rows updated", |table| table.updated),
            sum("of them HOT", |table| table.hot),
            sum("growth of all tables and indexes, bytes", |table| table.bytes),
        ];
        for table in ["chats", "messages", "turns", "events", "activities"] {
            let row = |what: &str, of: fn(&Table) -> f64| {
                Row::new(format!("{table}: {what}"), move |stage| stage.tables.of_each.get(table).map(of))
            };
            rows.push(row("inserted", |table| table.inserted));
            rows.push(row("updated", |table| table.updated));
            rows.push(row("of them HOT", |table| table.hot));
            rows.push(row("growth, bytes", |table| table.bytes));
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
        let Some(first) = self.stages.first() else { return Ok(()) };
        let Window { redis, commands, .. } = &first.counted.1;
        let whole = names(redis).into_iter().filter(|name| name != EMPTY);
        let mut rows: Vec<Row> = whole.map(|name| Row::by_message(&name, |window| &window.redis)).collect();
        let frequent = commands.0.iter().filter(|(_, runs)| per_message(first, *runs) > OFTEN);
        for (name, _) in frequent {
            let row = Row::by_message(name, |window| &window.commands);
            rows.push(Row { name: format!("`{name}`"), ..row });
        }
        let peak = |stage: &Staged| Some(count(stage.redis_peak / 1_024));
        rows.push(Row::new("memory at its peak since the start, KiB", peak));
        self.table(f, &rows)
    }

    fn write_cpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Processor time, milliseconds by message\n")?;
        writeln!(
            f,
            "Only the ratios say something, and of them only large ones: the statements are counted meanwhile.\n"
        )?;
        let rows = PROCESSES.map(|name| {
            Row::new(name, move |stage| Some(per_message(stage, stage.counted.1.cpu.get(name) * 1_000.0)))
        });
        self.table(f, &rows)
    }

    fn write_idle(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### Nothing to do, by second\n")?;
        let Some(Staged { idle, .. }) = self.stages.first() else { return Ok(()) };
        let mut rows: Vec<Row> = Vec::new();
        for name in names(&idle.counts) {
            rows.push(Row::by_second(name.clone(), &name, |window| &window.counts));
        }
        for name in names(&idle.redis) {
            rows.push(Row::by_second(format!("Redis: {name}"), &name, |window| &window.redis));
        }
        for name in PROCESSES {
            let percent = move |stage: &Staged| Some(stage.idle.cpu.get(name) * 100.0 / stage.idle.seconds);
            rows.push(Row::new(format!("{name}: % of a processor"), percent));
        }
        let retention =
            |name: &str, of: fn(Runs) -> f64| Row::new(name, move |stage: &Staged| stage.retention.map(of));
        rows.push(retention("every 10 min, looking for what is kept no longer: pages", |runs| runs.pages));
        rows.push(retention("milliseconds of that", |runs| runs.ms));
        rows.push(Row::new("connections to PostgreSQL", |stage| Some(count(stage.connections.0))));
        rows.push(Row::new("connections to Redis", |stage| Some(count(stage.connections.1))));
        self.table(f, &rows)?;
        writeln!(f, "### One scrape of a worker's metrics\n")?;
        let scrape =
            |name: &str, of: fn(Scrape) -> f64| Row::new(name, move |stage: &Staged| stage.scrape.map(of));
        let rows = [
            scrape("series", |scrape| float(scrape.series)),
            scrape("bytes", |scrape| float(scrape.bytes)),
            scrape("milliseconds", |scrape| scrape.took.as_secs_f64() * 1_000.0),
        ];
        self.table(f, &rows)
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
        self.write_poller(f)?;
        for complaint in self.stages.iter().flat_map(|stage| &stage.complaints) {
            writeln!(f, "{complaint}")?;
        }
        Ok(())
    }
}

fn names(counts: &Counts) -> Vec<String> {
    counts.0.iter().map(|(name, _)| name.clone()).collect()
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
