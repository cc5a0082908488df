//! What one answered message costs, in counts: statements, transactions, flushes, bytes. Stage by stage one thing is changed,
//! so that it shows what the cost depends on and what it does not.

mod backlog;
mod fleet;
mod report;
mod seed;
mod stage;
mod tables;

use crate::args::Scale;
use crate::machine;
use crate::progress::say;
use crate::servers::{Servers, sibling};
use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{Options, Simulator};
use report::Report;
use sea_orm::sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use stage::{Bench, Stage};
use std::process::ExitCode;

/// What PostgreSQL has besides its settings of the load run. Vacuum is left out: it comes when it likes, and would be counted
/// with whatever runs then.
const SETTINGS: &[&str] = &[
    "pg_stat_statements.track_planning=on",
    "pg_stat_statements.max=10000",
    "autovacuum=off",
    "max_connections=400",
    "maintenance_work_mem=512MB",
];

/// What a business has set by default.
const DEBOUNCE_MS: u32 = 1_500;

/// Counts everything and prints the report. The exit code says whether every message was answered exactly once.
pub(crate) async fn run(args: Scale) -> Result<ExitCode> {
    for program in ["dmrelay-api", "dmrelay-worker"] {
        sibling(program)?;
    }
    say("starting PostgreSQL, Redis and the simulator");
    let servers = Servers::start(&args.folder(), SETTINGS).await?;
    ensure!(
        servers.postgres.lists_statements(),
        "pg_stat_statements is needed: it is in Debian's package postgresql"
    );
    prepare(&servers).await?;
    let simulator = Simulator::start(Options::default()).await.context("the simulator did not start")?;
    let mut report = Report::new(&args, machine::describe(&servers));
    let stages = stages(&args);
    let bench = Bench { args: &args, servers: &servers, simulator: &simulator };
    let mut outcome = Ok(());
    for (number, stage) in stages.iter().enumerate() {
        if !args.only.is_empty() && !args.only.contains(&(number + 1)) {
            continue;
        }
        say(&format!("stage {}: {}", number + 1, stage.title()));
        // The poller is measured on the largest tables.
        match bench.run(*stage, number + 1, number + 1 == stages.len()).await {
            Ok(staged) => report.add(staged),
            Err(err) => {
                outcome = Err(err);
                break;
            }
        }
    }
    // Also what was counted before something failed.
    println!("{report}");
    outcome?;
    Ok(if report.exactly_once() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One thing differs from stage to stage.
fn stages(args: &Scale) -> Vec<Stage> {
    let base = Stage { workers: 1, accounts: 1, chats: 0, debounce_ms: 0 };
    let accounts = Stage { accounts: args.accounts, ..base };
    let mut stages = vec![
        base,
        Stage { debounce_ms: DEBOUNCE_MS, ..base },
        Stage { workers: args.workers, ..base },
        accounts,
    ];
    stages.extend(args.chats.iter().map(|chats| Stage { chats: *chats, ..accounts }));
    stages
}

async fn prepare(servers: &Servers) -> Result<()> {
    let mut connection = PgConnection::connect(&servers.postgres.url("postgres")).await?;
    // Not before version 15; without it one figure less is shown.
    let _ =
        raw_sql(AssertSqlSafe("CREATE EXTENSION pg_walinspect".to_owned())).execute(&mut connection).await;
    Ok(())
}
