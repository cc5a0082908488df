//! The real binaries against a real PostgreSQL and Redis, as an operator runs them.

use crate::port::Port;
use crate::postgres::PostgresServer;
use crate::process::Process;
use crate::redis::RedisServer;
use crate::relay::simulator;
use crate::rest::{APP_SECRET, KEY, Rest, VERIFY_TOKEN};
use crate::wait;
use anyhow::{Result, ensure};
use dmrelay_simulator::Simulator;
use dmrelay_vault::Vault;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// Timeout for a process to become ready.
const READY: Duration = Duration::from_secs(20);

/// One API and any number of workers.
pub struct Cluster {
    /// The PostgreSQL server.
    pub postgres: PostgresServer,
    /// The Redis server.
    pub redis: RedisServer,
    /// The simulator of Meta and Retell.
    pub simulator: Simulator,
    /// The REST client.
    pub rest: Rest,
    /// The API process.
    pub api: Process,
    ports: [Port; 2],
    /// Further API processes.
    more: Vec<[Port; 2]>,
    env: Vec<(String, String)>,
    dir: TempDir,
    started: usize,
}

impl Cluster {
    /// Starts the servers, migrates, starts the API, and connects the tests' account.
    ///
    /// # Errors
    /// If a part does not start, with its output.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let cluster = Self::unconnected(settings).await?;
        let answer = cluster.rest.connect().await?;
        ensure!(answer.status == 201, "connect: {} {}", answer.status, answer.text);
        Ok(cluster)
    }

    /// The same without the connection.
    ///
    /// # Errors
    /// If a part does not start, with its output.
    pub async fn unconnected(settings: &[(&str, &str)]) -> Result<Self> {
        Self::on(PostgresServer::start()?, settings).await
    }

    /// The same on a PostgreSQL that was started before.
    ///
    /// # Errors
    /// If a part does not start, with its output.
    pub async fn on(postgres: PostgresServer, settings: &[(&str, &str)]) -> Result<Self> {
        let redis = RedisServer::start()?;
        let ports = [Port::reserve()?, Port::reserve()?];
        let address = SocketAddr::from(([127, 0, 0, 1], ports[0].number));
        let simulator = simulator(address).await?;
        let dir = tempfile::tempdir()?;
        let mut env = environment(&postgres, &redis, &simulator);
        env.push(("CANARY_URL".to_owned(), format!("http://{address}/webhooks/instagram")));
        env.retain(|(key, _)| settings.iter().all(|(other, _)| other != key));
        env.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let log = dir.path().join("migrate.log");
        let mut migrate = Process::start("dmrelay-api", &["migrate"], &env, log)?;
        let migrated = migrate.ended(READY).await?;
        ensure!(migrated.success(), "migrate: {}", migrate.output());
        let api = start_api(&env, &ports, &dir)?;
        let rest = Rest::new(address)?;
        let more = Vec::new();
        let mut cluster = Self { postgres, redis, simulator, rest, api, ports, more, env, dir, started: 0 };
        cluster.api_ready().await?;
        Ok(cluster)
    }

    /// Starts a worker.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn worker(&mut self) -> Result<Process> {
        self.worker_at("127.0.0.1:0".to_owned())
    }

    /// Starts a worker with a known metrics port, reserved for as long as the returned value lives.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn watched_worker(&mut self) -> Result<(Process, Port)> {
        let port = Port::reserve()?;
        Ok((self.worker_at(format!("127.0.0.1:{}", port.number))?, port))
    }

    fn worker_at(&mut self, metrics: String) -> Result<Process> {
        self.started += 1;
        let log = self.dir.path().join(format!("worker-{}.log", self.started));
        let mut env = self.env.clone();
        env.push(("METRICS_ADDR".to_owned(), metrics));
        Process::start("dmrelay-worker", &[], &env, log)
    }

    /// The address of the API's metrics.
    pub fn metrics_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[1].number))
    }

    /// Makes everything started from now on use another database.
    pub fn move_to(&mut self, postgres: PostgresServer) {
        self.use_database(&postgres.url());
        self.postgres = postgres;
    }

    /// Makes everything started from now on reach its database at this address.
    pub fn use_database(&mut self, url: &str) {
        for (_, value) in self.env.iter_mut().filter(|(key, _)| key == "DATABASE_URL") {
            url.clone_into(value);
        }
    }

    /// Restarts the API after it has ended.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn restart_api(&mut self) -> Result<()> {
        self.api = start_api(&self.env, &self.ports, &self.dir)?;
        self.api_ready().await
    }

    /// Runs a command of a binary to completion.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn run(&self, name: &str, args: &[&str], settings: &[(&str, &str)]) -> Result<(bool, String)> {
        let mut env = self.env.clone();
        env.retain(|(key, _)| settings.iter().all(|(other, _)| other != key));
        env.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let log = self.dir.path().join("command.log");
        let _ = std::fs::remove_file(&log);
        let mut process = Process::start(name, args, &env, log)?;
        let status = process.ended(READY).await?;
        Ok((status.success(), process.output()))
    }

    /// The API's metrics.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn metrics(&self) -> Result<String> {
        Ok(Rest::new(self.metrics_address())?.request("GET", "/metrics", None, &[]).await?.text)
    }

    /// Starts another API, which receives no webhooks from Meta.
    ///
    /// # Errors
    /// If it does not become ready.
    pub async fn another_api(&mut self) -> Result<(Process, Rest)> {
        let ports = [Port::reserve()?, Port::reserve()?];
        let rest = Rest::new(SocketAddr::from(([127, 0, 0, 1], ports[0].number)))?;
        let api = start_api(&self.env, &ports, &self.dir)?;
        ready(&api, &rest).await?;
        self.more.push(ports);
        Ok((api, rest))
    }

    async fn api_ready(&mut self) -> Result<()> {
        ready(&self.api, &self.rest).await
    }
}

async fn ready(api: &Process, rest: &Rest) -> Result<()> {
    let ready = wait::until("the API is ready", READY, async || {
        let answer = rest.request("GET", "/readyz", None, &[]).await;
        Ok(answer.ok().filter(|answer| answer.status == 200).map(|_| ()))
    });
    ready.await.map_err(|err| err.context(api.output()))
}

fn start_api(env: &[(String, String)], ports: &[Port; 2], dir: &TempDir) -> Result<Process> {
    let mut env = env.to_vec();
    env.push(("API_ADDR".to_owned(), format!("127.0.0.1:{}", ports[0].number)));
    env.push(("METRICS_ADDR".to_owned(), format!("127.0.0.1:{}", ports[1].number)));
    Process::start("dmrelay-api", &[], &env, dir.path().join(format!("api-{}.log", ports[0].number)))
}

fn environment(
    postgres: &PostgresServer,
    redis: &RedisServer,
    simulator: &Simulator,
) -> Vec<(String, String)> {
    [
        ("DATABASE_URL", postgres.url()),
        ("REDIS_URL", redis.url()),
        ("GRAPH_URL", simulator.graph_url()),
        ("INSTAGRAM_GRAPH_URL", simulator.instagram_url()),
        ("RETELL_URL", simulator.retell_url()),
        ("RETELL_API_KEY", "key_simulated".to_owned()),
        ("META_APP_SECRETS", APP_SECRET.to_owned()),
        ("META_VERIFY_TOKEN", VERIFY_TOKEN.to_owned()),
        ("BOOTSTRAP_API_KEY", KEY.to_owned()),
        ("AGENT_BINDING", "first-connect".to_owned()),
        ("ENCRYPTION_KEYS", Vault::generate("k1")),
        ("DEBOUNCE_MS", "0".to_owned()),
        ("MAX_TURNS_PER_HOUR", "100000".to_owned()),
        ("LEASE", "3s".to_owned()),
        ("AGENT_TIMEOUT", "3s".to_owned()),
        ("GRAPH_TIMEOUT", "3s".to_owned()),
        ("RECONCILE_GRACE", "1s".to_owned()),
        ("SWEEP_INTERVAL", "100ms".to_owned()),
        ("RUST_LOG", "info".to_owned()),
        ("UPLOAD_CHECK_TIMEOUT", "0s".to_owned()),
        // Their calls would meet the faults that tests make for others.
        ("CHECK_INTERVAL", "0s".to_owned()),
        ("BACKFILL_INTERVAL", "0s".to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
