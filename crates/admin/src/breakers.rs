//! `admin breakers`: which services are not called now, and why; to call them again at once, or not at all for a while.

use super::common::{EXIT_CODES, operator};
use super::output::{self, NOTHING, Table, print};
use super::times;
use anyhow::ensure;
use clap::{Args, Subcommand};
use dmrelay_runtime::settings;
use dmrelay_store::{BreakerKey, BreakerRow, Store};
use serde::Serialize;
use std::time::Duration;

/// List, open and close circuit breakers.
#[derive(Debug, Subcommand)]
pub enum Breakers {
    /// List those that are open.
    List(List),
    /// Open one: calls to its service pause for the given time. Work waits and is not lost.
    #[command(after_help = EXIT_CODES)]
    Open {
        /// Which: agent, agent:AGENT, provider:SUBACCOUNT, graph:account:ACCOUNT, graph:app:instagram, ….
        #[arg(value_parser = BreakerKey::parse)]
        breaker: BreakerKey,
        /// For how long.
        #[arg(long = "for", value_parser = settings::positive)]
        time: Duration,
    },
    /// Close one or all: calls resume within a second or two. If they still fail, the breaker opens again.
    #[command(after_help = EXIT_CODES)]
    Reset {
        /// The circuit breaker, as `admin breakers list` shows it.
        #[arg(value_parser = BreakerKey::parse, required_unless_present = "all", conflicts_with = "all")]
        breaker: Option<BreakerKey>,
        /// All that are open.
        #[arg(long)]
        all: bool,
    },
}

/// How to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An open circuit breaker as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    breaker: String,
    /// When the next call is made.
    next_call_at: Option<String>,
    /// `failing`, or `told`: by the service, or by an operator.
    cause: &'static str,
    failures: i32,
    reason: Option<String>,
}

impl View {
    fn of(row: BreakerRow, now: i64) -> Self {
        let cause = if row.is_failing() { "failing" } else { "told" };
        let next_call_at = (row.closed_until > now).then(|| times::shown(row.closed_until));
        Self { breaker: row.key, next_call_at, cause, failures: row.failures, reason: row.reason }
    }
}

impl Breakers {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Open { breaker, time } => {
                store
                    .open_breaker(breaker, *time, &format!("opened by {}", operator().id.unwrap_or_default()))
                    .await?;
                Ok(print(format!(
                    "{breaker} is open: nothing behind it is called for {}",
                    times::span(dmrelay_domain::clock::millis(*time))
                ))?)
            }
            Self::Reset { breaker, all } => reset(store, breaker.as_ref(), *all).await,
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let now = store.now().await?;
        let open: Vec<View> =
            store.open_breaker_rows().await?.into_iter().map(|row| View::of(row, now)).collect();
        if self.json {
            return output::print_json(&open);
        }
        let mut table = Table::new(&["BREAKER", "CAUSE", "FAILURES", "NEXT CALL", "REASON"]);
        for view in open {
            let next = view.next_call_at.unwrap_or_else(|| "now, as a probe".to_owned());
            let reason = view.reason.unwrap_or_else(|| NOTHING.to_owned());
            table.row([view.breaker, view.cause.to_owned(), view.failures.to_string(), next, reason]);
        }
        Ok(table.print("no circuit breaker is open")?)
    }
}

async fn reset(store: &Store, breaker: Option<&BreakerKey>, all: bool) -> anyhow::Result<()> {
    if let Some(breaker) = breaker {
        ensure!(store.reset_breaker(breaker).await?, "{breaker} is not open");
        return Ok(print(format!("{breaker} is closed"))?);
    }
    ensure!(all, "name a circuit breaker, or --all");
    let mut closed = 0;
    let mut open = store.open_breaker_rows().await?;
    // Those of single agents and accounts first: while they are open, a failure opens that of their service again.
    open.sort_by_key(BreakerRow::is_shared);
    for row in open {
        // One that a later version wrote is left alone.
        let Ok(key) = BreakerKey::parse(&row.key) else { continue };
        if store.reset_breaker(&key).await? {
            closed += 1;
            print(format!("{key} is closed"))?;
        }
    }
    Ok(print(format!("{closed} closed"))?)
}
