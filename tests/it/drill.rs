//! Outages, with the real processes, a real Prometheus and a real Alertmanager: whether the first row of the Overview says so
//! within a minute, which alert fires, what it silences, and whether `/readyz` and `admin doctor` name the cause. The
//! table in `docs/operations.md` is what they find. A minute of the rules is a second here, thresholds are what they are.

use anyhow::{Context, Result, bail, ensure};
use dmrelay_simulator::{AgentRule, Fault, FaultMode, Operation, TokenState};
use dmrelay_tests::alertmanager::{Alertmanager, Told};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::port::Port;
use dmrelay_tests::postgres::PostgresServer;
use dmrelay_tests::process::Process;
use dmrelay_tests::prometheus::Prometheus;
use dmrelay_tests::proxy::Proxy;
use dmrelay_tests::rest::{ACCOUNT, AGENT, Rest};
use dmrelay_tests::wait;
use dmrelay_vault::Vault;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the first row may stay green.
const MINUTE: Duration = Duration::from_mins(1);

/// How long an alert may take here, where its minutes are seconds.
const ALERT: Duration = Duration::from_mins(1);

/// What the first row of the Overview shows that is not green.
const NOT_GREEN: &str = "(min(dmrelay:answering) or vector(0)) < 2 \
     or (dmrelay:oldest_unanswered_seconds:max or vector(1e9)) > 45 \
     or sum(dmrelay:connections:max{status=~\"reauth_required|restricted\"}) > 0";

struct Drill {
    cluster: Cluster,
    worker: Process,
    port: Port,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    user: u64,
}

impl Drill {
    /// A system in which all is well, with one worker.
    async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        Self::on(PostgresServer::start()?, settings, async |_| Ok(())).await
    }

    async fn on(
        postgres: PostgresServer,
        settings: &[(&str, &str)],
        adjust: impl AsyncFnOnce(&mut Cluster) -> Result<()>,
    ) -> Result<Self> {
        let mut all = vec![
            ("UNANSWERED_AFTER", "5s"),
            ("DATABASE_ACQUIRE_TIMEOUT", "1s"),
            ("DATABASE_STATEMENT_TIMEOUT", "2s"),
        ];
        all.extend_from_slice(settings);
        let mut cluster = Cluster::on(postgres, &all).await?;
        let connected = cluster.rest.connect().await?;
        ensure!(connected.status == 201, "connect: {}", connected.text);
        adjust(&mut cluster).await?;
        let (worker, port) = cluster.watched_worker()?;
        let alertmanager = Alertmanager::start().await?;
        let targets = [
            ("dmrelay-api", cluster.metrics_address()),
            ("dmrelay-worker", SocketAddr::from(([127, 0, 0, 1], port.number))),
        ];
        let prometheus = Prometheus::start_with(&targets, Some(alertmanager.address())).await?;
        let mut drill = Self { cluster, worker, port, prometheus, alertmanager, user: 200_000_000_000_000 };
        drill.say();
        let user = drill.user.to_string();
        drill
            .cluster
            .simulator
            .wait_for("an answer", MINUTE, |record| record.sends_to(ACCOUNT, &user).count() > 0)
            .await?;
        wait::until("a green first row", MINUTE, async || {
            let told = drill.prometheus.query("dmrelay:answering == 2").await?;
            Ok((!told.is_empty() && drill.not_green().await?.is_none()).then_some(()))
        })
        .await?;
        Ok(drill)
    }

    /// Another customer writes.
    fn say(&mut self) {
        self.user += 1;
        self.cluster.simulator.say(ACCOUNT, &self.user.to_string(), "hello");
    }

    async fn not_green(&self) -> Result<Option<()>> {
        Ok((!self.prometheus.query(NOT_GREEN).await?.is_empty()).then_some(()))
    }

    /// Customers go on writing until the first row is not green and somebody is told of this alert, and of no page but
    /// these. Returns what Alertmanager has then.
    async fn shows(&mut self, what: &str, alert: &str, severity: &str) -> Result<Told> {
        let began = Instant::now();
        let (mut row, mut told) = (None, None);
        while row.is_none() || told.is_none() {
            self.say();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if row.is_none() && self.not_green().await?.is_some() {
                row = Some(began.elapsed());
            }
            ensure!(
                row.is_some() || began.elapsed() < MINUTE,
                "{what}: the first row is green after a minute"
            );
            let alerts = self.alertmanager.alerts().await?;
            if told.is_none()
                && alerts.active.get(alert).is_some_and(|found| found.iter().any(|one| one == severity))
            {
                told = Some(began.elapsed());
            }
            if began.elapsed() > ALERT + MINUTE {
                bail!("{what}: nobody was told of {alert} ({severity}), but of {alerts:?}");
            }
        }
        // What follows from it may fire a moment later.
        tokio::time::sleep(Duration::from_secs(3)).await;
        // No other page comes before its cause where rules wait for minutes, and not for seconds as here: see `paging`.
        let only = wait::until("one page", Duration::from_secs(15), async || {
            let alerts = self.alertmanager.alerts().await?;
            let is_only = alerts.pages().all(|page| page == alert);
            Ok(is_only.then_some(alerts))
        });
        let Ok(alerts) = only.await else {
            let pages: Vec<String> = self.alertmanager.alerts().await?.pages().collect();
            bail!("{what}: one outage is one page, not {pages:?}");
        };
        eprintln!(
            "{what}: the first row after {:.0?}, {alert} after {:.0?}; told {:?}, silenced {:?}",
            row.unwrap_or_default(),
            told.unwrap_or_default(),
            alerts.active,
            alerts.silenced
        );
        Ok(alerts)
    }

    /// What a process says at `/readyz`, once it contains this.
    async fn readyz(&self, address: SocketAddr, says: &str) -> Result<()> {
        let rest = Rest::new(address)?;
        let last = std::sync::Mutex::new(String::new());
        let said = wait::until(says, Duration::from_secs(20), async || {
            let answer = rest.request("GET", "/readyz", None, &[]).await?;
            let is_there = answer.status == 503 && answer.text.contains(says);
            *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = answer.text;
            Ok(is_there.then_some(()))
        })
        .await;
        said.with_context(|| format!("/readyz says {:?}", last.lock()))
    }

    fn worker_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number))
    }

    async fn doctor(&self, options: &[&str], says: &str) -> Result<()> {
        let arguments = [&["admin", "doctor"], options].concat();
        let (_, output) = self.cluster.run("dmrelay-api", &arguments, &[]).await?;
        ensure!(
            output.lines().any(|line| line.starts_with("FAIL") && line.contains(says)),
            "{says}: {output}"
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_api_runs() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.cluster.api.kill()?;
    drill.shows("api", "DmrelayApiAbsent", "page").await?;
    drill.doctor(&["--callback"], "callback").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_worker_runs() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.worker.kill()?;
    drill.shows("worker", "DmrelayWorkerAbsent", "page").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_refuses_connections() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.cluster.postgres.kill()?;
    let cause = format!("cannot connect to {}: Connection refused", drill.cluster.postgres.address());
    drill.shows("PostgreSQL refused", "DmrelayDatabaseDown", "page").await?;
    drill.readyz(drill.cluster.metrics_address(), &cause).await?;
    drill.readyz(drill.worker_address(), &cause).await?;
    drill.doctor(&[], &cause).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_vanishes() -> Result<()> {
    let postgres = PostgresServer::start()?;
    let proxy = Proxy::start(postgres.address()).await?;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    let through_proxy = async |cluster: &mut Cluster| {
        cluster.use_database(&url);
        cluster.api.kill()?;
        cluster.restart_api().await
    };
    let mut drill = Drill::on(postgres, &[], through_proxy).await?;
    proxy.vanish_for_good();
    let cause = format!("{} does not answer", proxy.address());
    drill.shows("PostgreSQL vanished", "DmrelayDatabaseDown", "page").await?;
    drill.readyz(drill.cluster.metrics_address(), &cause).await?;
    drill.readyz(drill.worker_address(), &cause).await?;
    drill.doctor(&[], &cause).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_of_the_database_is_full() -> Result<()> {
    let mut drill = Drill::on(PostgresServer::with_a_small_disk()?, &[], async |_| Ok(())).await?;
    drill.cluster.postgres.fill_the_disk()?;
    drill.shows("disk full", "DmrelayNotReady", "page").await?;
    let cause = "No space left on device";
    drill.readyz(drill.cluster.metrics_address(), cause).await?;
    drill.readyz(drill.worker_address(), cause).await?;
    drill.doctor(&[], cause).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_down() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.cluster.redis.kill()?;
    drill.shows("Redis", "DmrelayRedisDown", "ticket").await?;
    // Customers are answered all the same.
    assert!(drill.prometheus.query("dmrelay:answering == 1").await?.len() == 1);
    drill.readyz(drill.worker_address(), "Redis: queue unavailable: 127.0.0.1:").await?;
    drill.doctor(&[], "127.0.0.1:").await
}

/// The realistic outage: its reads work, and so does opening chats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retells_completions_fail() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill
        .cluster
        .simulator
        .add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(0));
    drill.shows("Retell's completions", "DmrelayCircuitOpen", "page").await?;
    drill.doctor(&[], "agent:agent_acme is open").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retell_is_slow() -> Result<()> {
    let mut drill = Drill::start(&[("AGENT_TIMEOUT", "300s")]).await?;
    let slow = AgentRule { latency_ms: 200_000, ..AgentRule::default() };
    drill.cluster.simulator.put_agent(AGENT, slow);
    drill.shows("Retell slow", "DmrelayUnanswered", "page").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graph_refuses_the_token() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.cluster.simulator.set_tokens(ACCOUNT, TokenState::Expired);
    drill.shows("Graph 190", "DmrelayAccountsNeedReconnecting", "ticket").await?;
    drill.doctor(&[], "1 have to be connected again by their business").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_deployed_with_a_wrong_key() -> Result<()> {
    let mut drill = Drill::start(&[]).await?;
    drill.worker.kill()?;
    let wrong = Vault::generate("k1");
    let keys = [("ENCRYPTION_KEYS", wrong.as_str())];
    let (started, output) = drill.cluster.run("dmrelay-worker", &[], &keys).await?;
    assert!(
        !started && output.contains("the key called k1 in ENCRYPTION_KEYS is a different one"),
        "{output}"
    );
    drill.shows("wrong key", "DmrelayWorkerAbsent", "page").await?;
    let (_, output) = drill.cluster.run("dmrelay-api", &["admin", "doctor"], &keys).await?;
    assert!(output.contains("the key called k1 in ENCRYPTION_KEYS is a different one"), "{output}");
    Ok(())
}
