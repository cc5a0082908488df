//! Api and workers on a database of their own, with as many accounts as wanted, and everything they ask counted.

use super::tap::Tap;
use crate::http;
use crate::pipeline::Person;
use crate::process::{Process, free_ports, output};
use crate::servers::{self, Servers, sibling};
use crate::stack::{self, Plan, Seat};
use crate::usage::Watched;
use crate::webhook::user_id;
use anyhow::Result;
use dmrelay_simulator::Simulator;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// Running processes, killed when dropped.
pub(super) struct Fleet<'a> {
    servers: &'a Servers,
    plan: Plan,
    debounce_ms: u32,
    /// What stands at the end of each DATABASE_URL.
    parameters: String,
    environment: Vec<(&'static str, String)>,
    api: Process,
    workers: Vec<(Process, SocketAddr)>,
    pub(super) seats: Vec<Seat>,
    pub(super) taps: [Tap; 2],
    /// Where its database is, past the taps.
    pub(super) database_url: String,
}

/// What a scrape of `/metrics` brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scrape {
    pub(super) took: Duration,
    pub(super) bytes: usize,
    pub(super) series: usize,
}

impl<'a> Fleet<'a> {
    /// Starts the api on an empty database and connects the accounts. There is no worker yet.
    pub(super) async fn start(
        servers: &'a Servers,
        simulator: &Simulator,
        plan: Plan,
        (accounts, debounce_ms): (u16, u32),
        parameters: &str,
    ) -> Result<Self> {
        let [addr, metrics] = free_ports()?;
        let database_url = servers.postgres.create(plan.name).await?;
        let server = servers.postgres.addr();
        let taps = [Tap::start(server).await?, Tap::start(server).await?];
        let environment = Vec::from(stack::settings(servers, simulator, plan, &database_url));
        let seats: Vec<Seat> = (0..accounts).map(Seat::number).collect();
        stack::welcome(simulator, addr, &seats);
        let mut command = Command::new(sibling("dmrelay-api")?);
        command.current_dir(servers.folder()).envs(environment.clone());
        command.env("API_ADDR", addr.to_string()).env("METRICS_ADDR", metrics.to_string());
        output(command.arg("migrate"))?;
        let mut command = Command::new(sibling("dmrelay-api")?);
        command.current_dir(servers.folder()).envs(environment.clone());
        command.env("API_ADDR", addr.to_string()).env("METRICS_ADDR", metrics.to_string());
        command.env("DATABASE_URL", through(&taps[0], plan, parameters));
        let mut api = Process::start(&format!("{}-api", plan.name), &mut command, servers.folder())?;
        api.wait_until(async || stack::ready(addr).await).await?;
        for seat in &seats {
            stack::connect(addr, seat).await?;
        }
        Ok(Self {
            servers,
            plan,
            debounce_ms,
            parameters: parameters.to_owned(),
            environment,
            api,
            workers: Vec::new(),
            seats,
            taps,
            database_url,
        })
    }

    /// Starts so many workers.
    pub(super) async fn hire(&mut self, workers: u16) -> Result<()> {
        for _ in 0..workers {
            let [metrics] = free_ports()?;
            let mut command = Command::new(sibling("dmrelay-worker")?);
            command.current_dir(self.servers.folder()).envs(self.environment.clone());
            command.env("DEBOUNCE_MS", self.debounce_ms.to_string()).env("METRICS_ADDR", metrics.to_string());
            command.env("DATABASE_URL", through(&self.taps[1], self.plan, &self.parameters));
            let name = format!("{}-worker-{}", self.plan.name, self.workers.len() + 1);
            let mut process = Process::start(&name, &mut command, self.servers.folder())?;
            process.wait_until(async || stack::ready(metrics).await).await?;
            self.workers.push((process, metrics));
        }
        Ok(())
    }

    /// Ends all workers but so many.
    pub(super) fn dismiss(&mut self, but: usize) {
        self.workers.truncate(but);
    }

    /// So many people, spread over the accounts and over the chats that are there, if any.
    pub(super) fn people(&self, users: u16, chats: u64) -> Vec<Person> {
        let accounts = self.seats.len() as u64;
        // Not a multiple of ten: else few of the accounts would be met.
        let stride = (chats / u64::from(users)).max(2) - 1;
        (0..u64::from(users))
            .map(|user| {
                let chat = user * stride;
                let seat = usize::try_from(chat % accounts).unwrap_or_default();
                Person { account: self.seats[seat].account.clone(), user: user_id(chat) }
            })
            .collect()
    }

    /// Its processes, and those it stands on.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let workers = self.workers.iter().map(|(worker, _)| Watched::one("worker", worker.id()));
        let mut watched = vec![Watched::one("api", self.api.id())];
        watched.extend(workers);
        watched.extend(stack::around(self.servers));
        watched
    }

    /// Asks the api, or each worker, for its metrics; the one with the most series is told.
    pub(super) async fn scrape(&self) -> Result<Option<Scrape>> {
        let mut largest: Option<Scrape> = None;
        for (_, metrics) in &self.workers {
            let began = Instant::now();
            let (_, body) = http::get(*metrics, "/metrics").await?;
            let took = began.elapsed();
            let series = body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
            let scrape = Scrape { took, bytes: body.len(), series };
            largest = largest.filter(|largest| largest.series >= series).or(Some(scrape));
        }
        Ok(largest)
    }

    /// The sum of a counter over all workers.
    pub(super) async fn counter(&self, series: &str) -> Result<f64> {
        let mut sum = 0.0;
        for (_, metrics) in &self.workers {
            let (_, body) = http::get(*metrics, "/metrics").await?;
            let value = body.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            sum += value.unwrap_or_default();
        }
        Ok(sum)
    }

    /// Ends it. Gives what its processes had to complain about.
    pub(super) fn end(self) -> Vec<String> {
        let workers = self.workers.iter().map(|(worker, _)| worker);
        std::iter::once(&self.api).chain(workers).filter_map(Process::complaints).collect()
    }
}

/// The address of a database through a tap.
fn through(tap: &Tap, plan: Plan, parameters: &str) -> String {
    let url = servers::url(tap.addr(), plan.name);
    if parameters.is_empty() { url } else { format!("{url}?{parameters}") }
}
