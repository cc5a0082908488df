//! `admin status`: one screen that says whether customers are answered, and what keeps them waiting.

use super::common::EXIT_CODES;
use super::output::{self, Table};
use super::pauses;
use super::times::{self, span};
use clap::Args;
use dmrelay_domain::clock::Millis;
use dmrelay_store::{BreakerRow, Call, Pause, PauseScope, Store, Waiting};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A customer who has waited for longer than this waits for too long.
pub(super) const LATE: Duration = Duration::from_mins(5);

/// How to show it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Status {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The state of an installation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    /// Whether processes run, neither a circuit breaker nor a pause stops everybody, and nobody has waited for long.
    answering: bool,
    customers: Vec<WaitingView>,
    processes: Vec<Process>,
    breakers: Vec<OpenBreaker>,
    pauses: Vec<pauses::View>,
    accounts: BTreeMap<String, i64>,
    dead_letters: BTreeMap<String, i64>,
    database_bytes: i64,
}

/// Customers who wait at one stage.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitingView {
    stage: String,
    conversations: i64,
    late: i64,
    oldest_seconds: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    kind: String,
    id: String,
    version: String,
    keys: String,
    started_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenBreaker {
    breaker: String,
    failing: bool,
    reason: Option<String>,
}

impl Status {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let waiting = store.waiting(LATE).await?;
        let open = store.open_breaker_rows().await?;
        let paused = store.pauses().await?;
        let processes = store.processes().await?;
        let runs = |kind: &str| processes.iter().any(|process| process.kind == kind);
        let view = View {
            answering: runs("api")
                && runs("worker")
                && !open.iter().any(BreakerRow::is_shared)
                && !paused
                    .iter()
                    .any(|pause| pause.key.scope == PauseScope::All && pause.key.call != Call::Connect)
                && !waiting.iter().any(|one| one.stage != "held" && one.late > 0),
            customers: waiting.iter().map(WaitingView::of).collect(),
            processes: processes
                .into_iter()
                .map(|process| Process {
                    kind: process.kind,
                    id: process.id.to_string(),
                    version: process.version,
                    keys: process.keys,
                    started_at: times::shown(process.started_at),
                })
                .collect(),
            breakers: open
                .into_iter()
                .map(|row| OpenBreaker { failing: row.is_failing(), breaker: row.key, reason: row.reason })
                .collect(),
            pauses: paused.iter().map(pauses::View::of).collect(),
            accounts: store.connection_counts().await?.into_iter().collect(),
            dead_letters: store.dead_letter_counts().await?.into_iter().collect(),
            database_bytes: store.size().await?,
        };
        if self.json {
            return output::print_json(&view);
        }
        Ok(output::print(view.table(&waiting, &paused))?)
    }
}

impl WaitingView {
    fn of(one: &Waiting) -> Self {
        let (conversations, late) = (one.conversations, one.late);
        Self { stage: one.stage.clone(), conversations, late, oldest_seconds: one.oldest_ms / 1_000 }
    }
}

impl View {
    fn table(&self, waiting: &[Waiting], paused: &[Pause]) -> Table {
        let mut table = Table::new(&["ANSWERING", if self.answering { "yes" } else { "NO" }]);
        table.row(["customers".to_owned(), customers(waiting)]);
        if self.processes.is_empty() {
            table.row(["processes".to_owned(), "none runs".to_owned()]);
        }
        for process in &self.processes {
            let Process { kind, version, started_at, .. } = process;
            table.row([kind.clone(), format!("{version}, since {started_at}")]);
        }
        for OpenBreaker { breaker, failing, reason } in &self.breakers {
            let why = reason.as_deref().unwrap_or_default();
            let cause = if *failing { "failing" } else { "told to wait" };
            table.row(["circuit breaker".to_owned(), format!("{breaker} is open, {cause}: {why}")]);
        }
        for pause in paused {
            table.row(["paused".to_owned(), pauses::line(pause)]);
        }
        table.row(["accounts".to_owned(), counted(&self.accounts)]);
        table.row(["dead letters".to_owned(), counted(&self.dead_letters)]);
        table.row(["database".to_owned(), size(self.database_bytes)]);
        table
    }
}

/// How many of each, most first.
fn counted(counts: &BTreeMap<String, i64>) -> String {
    let mut counts: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).collect();
    counts.sort_by_key(|(_, n)| -**n);
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
}

fn size(bytes: i64) -> String {
    match bytes / 1_024 {
        kib if kib < 10_240 => format!("{kib} KiB"),
        kib if kib < 10 * 1_048_576 => format!("{} MiB", kib / 1_024),
        kib => format!("{} GiB", kib / 1_048_576),
    }
}

/// Who waits, where, and for how long: for people.
pub(super) fn customers(waiting: &[Waiting]) -> String {
    let (held, ours): (Vec<&Waiting>, Vec<&Waiting>) = waiting.iter().partition(|one| one.stage == "held");
    let total = |of: &[&Waiting]| of.iter().map(|one| one.conversations).sum::<i64>();
    let oldest: Millis = ours.iter().map(|one| one.oldest_ms).max().unwrap_or_default();
    let stages: Vec<String> = ours.iter().map(|one| format!("{} {}", one.conversations, one.stage)).collect();
    let held = match total(&held) {
        0 => String::new(),
        held => format!("; {held} held by their business, Meta, a budget or a pause"),
    };
    match total(&ours) {
        0 => format!("nobody waits for an answer{held}"),
        ours => format!("{ours} wait, the longest for {} ({}){held}", span(oldest), stages.join(", ")),
    }
}
