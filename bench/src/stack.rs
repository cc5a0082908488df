//! The builds of api and worker beside this program, on a database of their own, with their accounts connected.

use crate::http;
use crate::process::{Process, free_ports, output};
use crate::servers::{Servers, sibling};
use crate::usage::Watched;
use crate::webhook::{ACCOUNT, APP_SECRET};
use anyhow::{Result, bail, ensure};
use dmrelay_simulator::{AccountSpec, Simulator, WebhookTarget};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// What differs between the stacks of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Names the database, the keys in Redis and the logs.
    pub(crate) name: String,
    pub(crate) accounts: u16,
    /// WORKER_CONCURRENCY: questions of a worker at a time, and as many sends.
    pub(crate) concurrency: u16,
    /// Settings besides those that all stacks have.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Parameters of DATABASE_URL.
    pub(crate) url_parameters: String,
}

/// Running processes, killed when dropped.
pub(crate) struct Stack {
    plan: Plan,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    api: Process,
    addr: SocketAddr,
    workers: Vec<Worker>,
    seats: Vec<Seat>,
    /// PostgreSQL, Redis and this process.
    around: Vec<Watched>,
}

struct Worker {
    process: Process,
    metrics: SocketAddr,
}

/// An account, and the agent that answers for it.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) account: String,
    pub(crate) token: String,
    pub(crate) agent: String,
}

pub(crate) const VERIFY_TOKEN: &str = "bench-verify-token";
/// Worth nothing: it guards databases that are thrown away.
pub(crate) const BOOTSTRAP_KEY: &str = "bench-bootstrap-key-0123456789abcdef";
/// The same: "0123456789abcdef" twice.
const ENCRYPTION_KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl Plan {
    /// One account, and jobs of each kind at a time.
    pub(crate) fn new(name: impl Into<String>, concurrency: u16) -> Self {
        Self {
            name: name.into(),
            accounts: 1,
            concurrency,
            environment: Vec::new(),
            url_parameters: String::new(),
        }
    }

    /// With a setting besides the usual ones.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }
}

impl Seat {
    /// The account of this number; that of 0 is [`ACCOUNT`].
    pub(crate) fn number(number: u16) -> Self {
        let account = ACCOUNT.parse::<u64>().unwrap_or_default() + u64::from(number);
        Self {
            account: account.to_string(),
            token: format!("IGAA-bench-{number}"),
            agent: format!("agent_bench_{number}"),
        }
    }

    /// The account as the simulator is to know it.
    pub(crate) fn account(&self) -> AccountSpec {
        AccountSpec::new(&self.account, "bench_shop", &self.token)
    }
}

impl Stack {
    /// Starts the api on an empty database, and connects the accounts, which the simulator forgets everything about
    /// beforehand. There is no worker yet.
    pub(crate) async fn start(servers: &Servers, simulator: &Simulator, plan: Plan) -> Result<Self> {
        let [addr, metrics] = free_ports()?;
        let environment = environment(servers, simulator, &plan).await?;
        let seats: Vec<Seat> = (0..plan.accounts).map(Seat::number).collect();
        welcome(simulator, addr, seats.iter().map(Seat::account));
        let folder = servers.folder().to_owned();
        let command = || -> Result<Command> {
            let mut command = Command::new(sibling("dmrelay-api")?);
            command.current_dir(&folder).envs(environment.clone());
            command.env("API_ADDR", addr.to_string()).env("METRICS_ADDR", metrics.to_string());
            Ok(command)
        };
        output(command()?.arg("migrate"))?;
        let mut api = Process::start(&format!("{}-api", plan.name), &mut command()?, &folder)?;
        api.wait_until(async || ready(addr).await).await?;
        for seat in &seats {
            connect(addr, seat).await?;
        }
        let around = around(servers);
        Ok(Self { plan, environment, folder, api, addr, workers: Vec::new(), seats, around })
    }

    /// Starts so many workers.
    pub(crate) async fn hire(&mut self, workers: u16) -> Result<()> {
        for _ in 0..workers {
            let [metrics] = free_ports()?;
            let mut command = Command::new(sibling("dmrelay-worker")?);
            command.current_dir(&self.folder).envs(self.environment.clone());
            command.env("METRICS_ADDR", metrics.to_string());
            let name = format!("{}-worker-{}", self.plan.name, self.workers.len() + 1);
            let mut process = Process::start(&name, &mut command, &self.folder)?;
            process.wait_until(async || ready(metrics).await).await?;
            self.workers.push(Worker { process, metrics });
        }
        Ok(())
    }

    /// Ends all workers but so many.
    pub(crate) fn dismiss(&mut self, but: usize) {
        self.workers.truncate(but);
    }

    /// Where webhooks go.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The name of its database.
    pub(crate) fn database(&self) -> &str {
        &self.plan.name
    }

    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Where each worker tells its metrics.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = SocketAddr> {
        self.workers.iter().map(|worker| worker.metrics)
    }

    /// Its processes, and those it stands on.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let workers = self.workers.iter().map(|worker| Watched::one("worker", worker.process.id()));
        let api = Watched::one("api", self.api.id());
        std::iter::once(api).chain(workers).chain(self.around.iter().copied()).collect()
    }

    /// Ends it. Gives what its processes had to complain about.
    pub(crate) fn end(self) -> Vec<String> {
        let workers = self.workers.iter().map(|worker| &worker.process);
        std::iter::once(&self.api).chain(workers).filter_map(Process::complaints).collect()
    }
}

/// Makes the database; gives the environment of api and worker.
async fn environment(
    servers: &Servers,
    simulator: &Simulator,
    plan: &Plan,
) -> Result<Vec<(&'static str, String)>> {
    let mut database_url = servers.postgres.create(&plan.name).await?;
    if !plan.url_parameters.is_empty() {
        database_url = format!("{database_url}?{}", plan.url_parameters);
    }
    let usual = [
        ("DATABASE_URL", database_url),
        ("REDIS_URL", servers.redis.url()),
        ("REDIS_NAMESPACE", plan.name.clone()),
        ("GRAPH_URL", simulator.graph_url()),
        ("INSTAGRAM_GRAPH_URL", simulator.instagram_url()),
        ("RETELL_URL", simulator.retell_url()),
        ("RETELL_API_KEY", simulator.settings().retell.api_key),
        ("META_APP_SECRETS", APP_SECRET.to_owned()),
        ("ENCRYPTION_KEYS", ENCRYPTION_KEYS.to_owned()),
        ("BOOTSTRAP_API_KEY", BOOTSTRAP_KEY.to_owned()),
        ("AGENT_BINDING", "first-connect".to_owned()),
        ("DEBOUNCE_MS", "0".to_owned()),
        // The simulated customers write more than people do.
        ("MAX_TURNS_PER_HOUR", "100000".to_owned()),
        ("EVENTS_PER_ACCOUNT", "1000000".to_owned()),
        ("EVENTS_PER_SUBACCOUNT", "1000000".to_owned()),
        ("TURNS_PER_ACCOUNT_HOUR", "0".to_owned()),
        ("TURNS_PER_SUBACCOUNT_HOUR", "0".to_owned()),
        ("TURNS_PER_SUBACCOUNT_DAY", "0".to_owned()),
        ("TURNS_PER_DAY", "0".to_owned()),
        ("WORKER_CONCURRENCY", plan.concurrency.to_string()),
        ("RUST_LOG", "warn".to_owned()),
    ];
    // What comes later replaces what came before.
    Ok(usual.into_iter().chain(plan.environment.iter().cloned()).collect())
}

/// The simulator forgets what was, and sends the webhooks of these accounts to `api`.
pub(crate) fn welcome(
    simulator: &Simulator,
    api: SocketAddr,
    accounts: impl IntoIterator<Item = AccountSpec>,
) {
    simulator.reset();
    for account in accounts {
        simulator.put_account(account);
    }
    simulator.set_webhook(Some(WebhookTarget {
        url: format!("http://{api}/webhooks/instagram"),
        app_secret: APP_SECRET.to_owned(),
        verify_token: VERIFY_TOKEN.to_owned(),
    }));
}

/// What serves besides api and worker; this process is the load.
pub(crate) fn around(servers: &Servers) -> Vec<Watched> {
    let mut watched: Vec<Watched> =
        servers.postgres.postmaster().map(|id| Watched::family("PostgreSQL", id)).into_iter().collect();
    watched.push(Watched::one("Redis", servers.redis.id()));
    watched.push(Watched::one("load", std::process::id()));
    watched
}

pub(crate) async fn ready(addr: SocketAddr) -> Result<()> {
    let (status, body) = http::get(addr, "/readyz").await?;
    ensure!(status == 200, "{}", body.trim());
    Ok(())
}

async fn connect(addr: SocketAddr, seat: &Seat) -> Result<()> {
    let request = json!({
        "accessToken": seat.token,
        "instagramAccountId": seat.account,
        "webhookVerificationToken": VERIFY_TOKEN,
    });
    let path = format!("/api/database/bench/chat-agents/{}/instagram/connect", seat.agent);
    let (status, body) = http::post(addr, &path, BOOTSTRAP_KEY, &request.to_string()).await?;
    if status != 201 {
        bail!("the account {} was not connected: {status} {body}", seat.account);
    }
    Ok(())
}
