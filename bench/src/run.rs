//! The run, phase by phase: each on databases of its own, so that none has the last one's work to do.

use crate::args::Load;
use crate::floor::Floor;
use crate::generator::{self, Acks};
use crate::machine;
use crate::pipeline;
use crate::report::{Measured, Report};
use crate::servers::{Servers, sibling};
use crate::stack::{Plan, Stack, around};
use crate::usage::{Meter, Watched};
use crate::webhook::{ACCOUNT, USERS, Volley, user_id};
use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, Options, Simulator};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// The round of the run beside the worker; the pairs have the numbers before it.
const BESIDE_WORKER: u16 = 1_000;

/// What every phase needs.
struct Run {
    load: Load,
    servers: Servers,
    simulator: Simulator,
    report: Report,
}

/// Runs everything and prints the report. The exit code says whether every message was answered exactly once.
pub(crate) async fn run(load: Load) -> Result<ExitCode> {
    for program in ["dmrelay-api", "dmrelay-worker"] {
        sibling(program)?;
    }
    if machine::build() == "debug" {
        eprintln!("this is a debug build: its numbers mean nothing");
    }
    say("starting PostgreSQL, Redis and the simulator");
    let servers = Servers::start(&load.folder(), &[]).await?;
    let simulator = Simulator::start(Options::default()).await.context("the simulator did not start")?;
    let report = Report::new(&load, machine::describe(&servers));
    let mut run = Run { load, servers, simulator, report };
    run.acknowledgements().await?;
    run.acknowledgements_beside_worker().await?;
    run.conversations().await?;
    println!("{}", run.report);
    Ok(if run.report.exactly_once() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Run {
    /// Floor and API in turn, with the same webhooks.
    async fn acknowledgements(&mut self) -> Result<()> {
        let plan = Plan::new("acks", 1);
        let stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        let database = self.servers.postgres.create("floor").await?;
        let floor = Floor::start(&self.servers, Some(&database)).await?;
        let bare = Floor::start(&self.servers, None).await?;
        let floor_watched = |id| [vec![Watched::one("floor", id)], around(&self.servers)].concat();
        let floor_run = (floor.addr(), floor_watched(floor.id()));
        let api_run = (stack.addr(), stack.watched());
        let mut volley = self.volley(1)?;
        let watched = floor_watched(bare.id());
        self.report.bare =
            Some(self.saturate("floor without storage", (bare.addr(), watched), &volley).await?);
        for pair in 1..=self.load.pairs {
            if pair > 1 {
                volley = self.volley(pair)?;
            }
            let floor = self.saturate(&format!("floor {pair}"), floor_run.clone(), &volley).await?;
            let api = self.saturate(&format!("api {pair}"), api_run.clone(), &volley).await?;
            self.report.pairs.push((floor, api));
        }
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    /// The API while the worker has its hands full on the same machine.
    async fn acknowledgements_beside_worker(&mut self) -> Result<()> {
        let plan = Plan::new("busy", self.load.worker_concurrency);
        self.simulator.configure(|settings| settings.keep_records = false);
        let mut stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        stack.hire(1).await?;
        // Whoever is to be answered has written before, as far as the simulator is concerned.
        for user in 0..USERS {
            self.simulator.act(Act::new(ACCOUNT, &user_id(user), Action::text("Hello")).withheld());
        }
        let volley = self.volley(BESIDE_WORKER)?;
        let watched = stack.watched();
        let measured = self.saturate("api beside the worker", (stack.addr(), watched), &volley).await?;
        self.report.answered_meanwhile = self.simulator.record(|record| record.send_count);
        self.report.beside_worker = Some(measured);
        // Its backlog is of no interest.
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    /// The whole way: as many as can be, then at a steady rate in the same conversations.
    async fn conversations(&mut self) -> Result<()> {
        let plan = Plan::new("conversations", self.load.worker_concurrency);
        self.simulator.configure(|settings| settings.keep_records = true);
        let mut stack = Stack::start(&self.servers, &self.simulator, plan).await?;
        stack.hire(1).await?;
        let people = pipeline::people(self.load.users);

        say("throughput: every user writes again when answered");
        self.servers.postgres.checkpoint().await?;
        let meter = Meter::start(stack.watched());
        let messages = usize::try_from(self.load.messages)?;
        let talk = pipeline::in_turn(&self.simulator, messages, &people, people.len()).await?;
        self.report.throughput = Some((talk, meter.stop()));

        say("steady rate");
        let latency = self.load.agent_latency_ms;
        self.simulator.configure(|settings| settings.retell.default_agent.latency_ms = latency);
        self.servers.postgres.checkpoint().await?;
        let messages = usize::try_from(u64::from(self.load.rate) * self.load.steady_seconds)?;
        let meter = Meter::start(stack.watched());
        let talk = pipeline::steadily(&self.simulator, messages, &people, self.load.rate).await?;
        self.report.steady = Some((talk, meter.stop()));
        self.report.complaints.extend(stack.end());
        Ok(())
    }

    fn volley(&self, round: u16) -> Result<Arc<Volley>> {
        let prepared = generator::to_prepare(self.load.saturation());
        Ok(Arc::new(Volley::prepare(round, self.simulator.now_ms(), prepared)?))
    }

    async fn saturate(
        &self,
        name: &str,
        (addr, watched): (SocketAddr, Vec<Watched>),
        volley: &Arc<Volley>,
    ) -> Result<Measured> {
        self.servers.postgres.checkpoint().await?;
        let load = generator::Load {
            addr,
            connections: usize::from(self.load.connections),
            counted: self.load.saturation(),
        };
        let meter = Meter::start(watched);
        let acks: Acks = generator::saturate(load, volley).await?;
        let spent = meter.stop();
        say(&format!("{name}: {:.0} acknowledged a second, {} errors", acks.per_second(), acks.errors()));
        Ok(Measured { name: name.to_owned(), acks, spent })
    }
}

pub(crate) fn say(what: &str) {
    eprintln!("· {what}");
}
