//! A backup taken while everything runs, and a restore from it, as described in docs/operations.md.

use anyhow::{Context, Result};
use dmrelay_simulator::{AgentRule, Fault, FaultMode, Operation};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::postgres::PostgresServer;
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use dmrelay_tests::wait;
use std::time::Duration;

const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";

async fn replied(cluster: &Cluster, user: &str, count: usize) -> Result<()> {
    let replied = |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, user).count() >= count;
    cluster.simulator.wait_for(&format!("{count} replies"), Duration::from_mins(1), replied).await?;
    Ok(())
}

fn said(cluster: &Cluster, user: &str) -> Vec<String> {
    cluster.simulator.record(|r| r.sends_to(ACCOUNT, user).filter_map(|send| send.text.clone()).collect())
}

/// The number of events the API has written.
async fn written(cluster: &Cluster) -> Result<u64> {
    let metrics = cluster.metrics().await?;
    let line =
        metrics.lines().find_map(|line| line.strip_prefix("dmrelay_inbox_events_total{result=\"new\"} "));
    Ok(line.context("no such metric")?.parse()?)
}

/// The database is lost and restored; Redis is empty, too. What was acknowledged before the backup is
/// answered, and nothing is answered twice: not even what was sent after the backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_continues_and_says_nothing_twice() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let mut worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "before");
    replied(&cluster, USER, 1).await?;
    // An answer waiting for Graph while the backup is taken, and a message that is not ingested yet.
    let down = Fault::graph(Operation::Send, FaultMode::Before).code(4, None).header("retry-after", "2");
    let down = cluster.simulator.add_fault(down.times(0));
    cluster.simulator.say(ACCOUNT, USER, "meanwhile");
    let tried = |record: &dmrelay_simulator::Record| record.calls_of("graph.send") >= 2;
    cluster.simulator.wait_for("the send that is refused", Duration::from_secs(30), tried).await?;
    wait::until("the answer waits", Duration::from_secs(10), async || {
        let messages = cluster.rest.get("messages?status=queued").await?;
        Ok((messages.json["items"].as_array().map(Vec::len) == Some(1)).then_some(()))
    })
    .await?;
    worker.kill()?;
    let before = written(&cluster).await?;
    cluster.simulator.say(ACCOUNT, OTHER, "not taken in");
    wait::until("the event is written", Duration::from_secs(10), async || {
        Ok((written(&cluster).await? > before).then_some(()))
    })
    .await?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("backup");
    cluster.postgres.dump(&file)?;

    // After the backup the answer is sent; then the database is lost. The agent has not finished the other
    // question.
    cluster.simulator.clear_faults(Some(down));
    cluster.simulator.put_agent(AGENT, AgentRule { latency_ms: 20_000, ..AgentRule::default() });
    let mut late = cluster.worker()?;
    replied(&cluster, USER, 2).await?;
    late.kill()?;
    cluster.api.kill()?;

    let restored = PostgresServer::start()?;
    restored.restore(&file)?;
    cluster.move_to(restored);
    cluster.redis.flush()?;
    let (done, text) = cluster.run("dmrelay-api", &["admin", "after-restore"], &[]).await?;
    assert!(done && text.contains("chats with waiting work: 1"), "{text}");
    cluster.simulator.put_agent(AGENT, AgentRule::default());
    cluster.restart_api().await?;
    let _worker = cluster.worker()?;
    replied(&cluster, OTHER, 1).await?;
    cluster.simulator.say(ACCOUNT, USER, "after");
    replied(&cluster, USER, 3).await?;
    assert_eq!(said(&cluster, USER), ["Answer to: before", "Answer to: meanwhile", "Answer to: after"]);
    assert_eq!(said(&cluster, OTHER), ["Answer to: not taken in"]);
    Ok(())
}
