//! The release builds of api and worker, on a database of their own, with one account connected.

use crate::http;
use crate::process::{Process, free_ports, output};
use crate::servers::{Servers, sibling};
use crate::usage::Watched;
use crate::webhook::{ACCOUNT, APP_SECRET};
use anyhow::{Result, bail, ensure};
use dmrelay_simulator::{AccountSpec, Simulator, WebhookTarget};
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;

/// What differs between the stacks of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Names the database, the keys in Redis and the logs.
    pub(crate) name: &'static str,
    /// Jobs of each kind at a time; nothing for no worker.
    pub(crate) worker: Option<u16>,
}

/// Running processes, killed when dropped.
pub(crate) struct Stack {
    api: Process,
    worker: Option<Process>,
    addr: SocketAddr,
}

/// An account, and the agent that answers for it.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) account: String,
    token: String,
    agent: String,
}

const VERIFY_TOKEN: &str = "bench-verify-token";
/// Worth nothing: it guards databases that are thrown away.
const BOOTSTRAP_KEY: &str = "bench-bootstrap-key-0123456789abcdef";
/// The same: "0123456789abcdef" twice.
const ENCRYPTION_KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

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
}

impl Stack {
    /// Starts it on an empty database, and connects the account, which the simulator forgets everything about
    /// beforehand.
    pub(crate) async fn start(servers: &Servers, simulator: &Simulator, plan: Plan) -> Result<Self> {
        let [addr, api_metrics, worker_metrics] = free_ports()?;
        let database_url = servers.postgres.create(plan.name).await?;
        let settings = settings(servers, simulator, plan, &database_url);
        let command = |program: &str, metrics: SocketAddr| -> Result<Command> {
            let mut command = Command::new(sibling(program)?);
            command.current_dir(servers.folder()).envs(settings.clone());
            command.env("API_ADDR", addr.to_string()).env("METRICS_ADDR", metrics.to_string());
            Ok(command)
        };
        let seat = Seat::number(0);
        welcome(simulator, addr, std::slice::from_ref(&seat));
        output(command("dmrelay-api", api_metrics)?.arg("migrate"))?;
        let (folder, name) = (servers.folder(), plan.name);
        let mut api =
            Process::start(&format!("{name}-api"), &mut command("dmrelay-api", api_metrics)?, folder)?;
        api.wait_until(async || ready(addr).await).await?;
        let mut worker = None;
        if plan.worker.is_some() {
            let mut command = command("dmrelay-worker", worker_metrics)?;
            let process = worker.insert(Process::start(&format!("{name}-worker"), &mut command, folder)?);
            process.wait_until(async || ready(worker_metrics).await).await?;
        }
        connect(addr, &seat).await?;
        Ok(Self { api, worker, addr })
    }

    /// Where webhooks go.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its processes, and those it stands on.
    pub(crate) fn watched(&self, servers: &Servers) -> Vec<Watched> {
        let mut watched = vec![Watched::one("api", self.api.id())];
        watched.extend(self.worker.as_ref().map(|worker| Watched::one("worker", worker.id())));
        watched.extend(around(servers));
        watched
    }

    /// Ends it. Gives what its processes had to complain about.
    pub(crate) fn end(self) -> Vec<String> {
        let complaints = [Some(&self.api), self.worker.as_ref()].into_iter().flatten();
        complaints.filter_map(Process::complaints).collect()
    }
}

/// The environment of both.
pub(crate) fn settings(
    servers: &Servers,
    simulator: &Simulator,
    plan: Plan,
    database_url: &str,
) -> [(&'static str, String); 14] {
    [
        ("DATABASE_URL", database_url.to_owned()),
        ("REDIS_URL", servers.redis.url()),
        ("REDIS_NAMESPACE", plan.name.to_owned()),
        ("GRAPH_URL", simulator.graph_url()),
        ("INSTAGRAM_GRAPH_URL", simulator.instagram_url()),
        ("RETELL_URL", simulator.retell_url()),
        ("RETELL_API_KEY", simulator.settings().retell.api_key),
        ("META_APP_SECRETS", APP_SECRET.to_owned()),
        ("ENCRYPTION_KEYS", ENCRYPTION_KEYS.to_owned()),
        ("BOOTSTRAP_API_KEY", BOOTSTRAP_KEY.to_owned()),
        ("DEBOUNCE_MS", "0".to_owned()),
        // The simulated customers write more than people do.
        ("MAX_TURNS_PER_HOUR", "100000".to_owned()),
        ("WORKER_CONCURRENCY", plan.worker.unwrap_or(1).to_string()),
        ("RUST_LOG", "warn".to_owned()),
    ]
}

/// The simulator forgets what was, and sends the webhooks of these accounts to `api`.
pub(crate) fn welcome(simulator: &Simulator, api: SocketAddr, seats: &[Seat]) {
    simulator.reset();
    for seat in seats {
        simulator.put_account(AccountSpec::new(&seat.account, "bench_shop", &seat.token));
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

pub(crate) async fn connect(addr: SocketAddr, seat: &Seat) -> Result<()> {
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
