//! The run, phase by phase: each on databases of its own, so that none has the last one's work to do.

mod acks;
mod conversations;

use crate::args::{Load, Phase};
use crate::machine;
use crate::progress::say;
use crate::report::Report;
use crate::servers::{Servers, sibling};
use anyhow::{Context, Result};
use dmrelay_simulator::{Options, Simulator};
use std::process::ExitCode;

/// What every phase needs.
struct Run {
    load: Load,
    servers: Servers,
    simulator: Simulator,
    report: Report,
}

/// What PostgreSQL has besides its usual settings: the peer, 1,024 conversations and all pools fit.
const SETTINGS: &[&str] = &["max_connections=400"];

/// Runs everything and prints the report. The exit code says whether dmrelay answered every message exactly once.
pub(crate) async fn run(load: Load) -> Result<ExitCode> {
    for program in ["dmrelay-api", "dmrelay-worker"] {
        sibling(program)?;
    }
    if machine::build() == "debug" {
        eprintln!("this is a debug build: its numbers mean nothing");
    }
    say("starting PostgreSQL, Redis and the simulator");
    let servers = Servers::start(&load.folder(), SETTINGS).await?;
    let simulator = Simulator::start(Options::default()).await.context("the simulator did not start")?;
    let mut report = Report::new(&load, machine::describe(&servers));
    if !servers.postgres.lists_statements() {
        report.remark("statements are not counted: PostgreSQL has no pg_stat_statements".to_owned());
    }
    let mut run = Run { load, servers, simulator, report };
    let outcome = run.phases().await;
    // Also what was measured before something failed.
    println!("{}", run.report);
    outcome?;
    Ok(if run.report.exactly_once() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Run {
    async fn phases(&mut self) -> Result<()> {
        if self.load.runs(Phase::Acks) {
            self.acknowledgements().await?;
            self.acknowledgements_beside_worker().await?;
        }
        if self.load.runs(Phase::Saturation) {
            self.saturation().await?;
        }
        if self.load.runs(Phase::Workers) {
            self.two_workers().await?;
        }
        if self.load.runs(Phase::Steady) {
            self.steady().await?;
        }
        if self.load.runs(Phase::Faults) {
            self.faults().await?;
        }
        Ok(())
    }
}
