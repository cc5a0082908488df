//! The real binaries, as an operator runs them.

use anyhow::{Context, Result};
use dmrelay_simulator::AgentRule;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::{ACCOUNT, AGENT, Rest, agent_path};
use dmrelay_tests::stream::Stream;
use dmrelay_tests::wait;
use std::time::Duration;

const USER: &str = "200000000000001";

async fn replied(cluster: &Cluster, user: &str, count: usize) -> Result<()> {
    let what = format!("{count} replies");
    cluster
        .simulator
        .wait_for(&what, Duration::from_mins(1), |record| record.sends_to(ACCOUNT, user).count() >= count)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_was_started_and_exits_zero() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    cluster.simulator.put_agent(AGENT, AgentRule { latency_ms: 1_000, ..AgentRule::default() });
    let mut worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let asked = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == 1;
    cluster.simulator.wait_for("the question", Duration::from_secs(20), asked).await?;
    worker.terminate()?;
    let status = worker.ended(Duration::from_secs(20)).await?;
    assert!(status.success(), "{status}: {}", worker.output());
    cluster.api.terminate()?;
    assert!(cluster.api.ended(Duration::from_secs(20)).await?.success(), "{}", cluster.api.output());
    // The next worker completes what the first one left, and asks only once.
    cluster.restart_api().await?;
    let _second = cluster.worker()?;
    replied(&cluster, USER, 1).await?;
    assert_eq!(cluster.simulator.record(|record| record.completion_count), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_messages_are_still_answered() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let mut worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "before");
    replied(&cluster, USER, 1).await?;
    cluster.redis.kill()?;
    cluster.simulator.say(ACCOUNT, USER, "meanwhile");
    replied(&cluster, USER, 2).await?;
    cluster.redis.restart()?;
    cluster.simulator.say(ACCOUNT, USER, "after");
    replied(&cluster, USER, 3).await?;
    assert!(worker.runs()?, "{}", worker.output());
    let texts = cluster
        .simulator
        .record(|r| r.sends_to(ACCOUNT, USER).filter_map(|s| s.text.clone()).collect::<Vec<_>>());
    assert_eq!(texts, ["Answer to: before", "Answer to: meanwhile", "Answer to: after"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_database_costs_time_and_no_message() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let mut worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "before");
    replied(&cluster, USER, 1).await?;
    cluster.simulator.put_agent(AGENT, AgentRule { latency_ms: 500, ..AgentRule::default() });
    cluster.simulator.say(ACCOUNT, USER, "meanwhile");
    let asked = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == 2;
    cluster.simulator.wait_for("the question", Duration::from_secs(20), asked).await?;
    cluster.postgres.kill()?;
    cluster.simulator.say(ACCOUNT, USER, "while down");
    cluster.postgres.up()?;
    replied(&cluster, USER, 3).await?;
    assert!(worker.runs()?, "{}", worker.output());
    let texts = cluster
        .simulator
        .record(|r| r.sends_to(ACCOUNT, USER).filter_map(|s| s.text.clone()).collect::<Vec<_>>());
    assert_eq!(texts, ["Answer to: before", "Answer to: meanwhile", "Answer to: while down"]);
    assert_eq!(cluster.simulator.record(|record| record.completion_count), 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn startup_errors_name_the_setting() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let empty = dmrelay_tests::postgres::PostgresServer::start()?;
    for (binary, settings, says) in [
        ("dmrelay-api", &[("ENCRYPTION_KEYS", "k1:short")][..], "ENCRYPTION_KEYS: key \"k1\""),
        ("dmrelay-worker", &[("ENCRYPTION_KEYS", "none")], "ENCRYPTION_KEYS: key 1 is not of the form"),
        (
            "dmrelay-worker",
            &[("ENCRYPTION_KEYS", "k9:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")],
            "which ENCRYPTION_KEYS does not contain",
        ),
        (
            "dmrelay-api",
            &[("ENCRYPTION_KEYS", "k9:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")],
            "which ENCRYPTION_KEYS does not contain",
        ),
        (
            "dmrelay-api",
            &[("ENCRYPTION_KEYS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
            "key \"k1\" is not random",
        ),
        ("dmrelay-api", &[("META_APP_SECRETS", "x")], "META_APP_SECRETS: each must have at least 8"),
        ("dmrelay-api", &[("TRUSTED_PROXIES", "0.0.0.0/0")], "is everybody"),
        ("dmrelay-api", &[("DATABASE_URL", "")], "DATABASE_URL: is required"),
        ("dmrelay-api", &[("DATABASE_URL", "mysql://x")], "DATABASE_URL must begin with postgres://"),
        ("dmrelay-worker", &[("REDIS_URL", "")], "REDIS_URL: is required"),
        ("dmrelay-api", &[("BOOTSTRAP_API_KEY", "short")], "BOOTSTRAP_API_KEY: must have at least 32"),
        ("dmrelay-worker", &[("LEASE", "soon")], "LEASE"),
        ("dmrelay-api", &[("SEARCH_TIMEOUT", "0s")], "SEARCH_TIMEOUT"),
        (
            "dmrelay-api",
            &[("EVENT_CREDENTIAL_INTERVAL", "1h")],
            "EVENT_CREDENTIAL_INTERVAL: must be at most 1m",
        ),
        (
            "dmrelay-api",
            &[("WEBHOOK_MAX_BYTES", "67108864")],
            "WEBHOOK_MAX_BYTES_PER_ADDRESS: must be at least WEBHOOK_MAX_BYTES",
        ),
        ("dmrelay-api", &[("DATABASE_URL", &empty.url())], "run: dmrelay-api migrate"),
        ("dmrelay-worker", &[("DATABASE_URL", &empty.url())], "run: dmrelay-api migrate"),
    ] {
        let (success, output) = cluster.run(binary, &[], settings).await?;
        assert!(!success && output.contains(says), "{binary} {settings:?}: {output}");
    }
    let (_, help) = cluster.run("dmrelay-worker", &["--help"], &[]).await?;
    for setting in ["DATABASE_URL_FILE", "WORKER_CONCURRENCY", "AGENT_TIMEOUT", "LOG_FORMAT"] {
        assert!(help.contains(setting), "{setting}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_json_without_message_text() -> Result<()> {
    let mut cluster = Cluster::start(&[("LOG_FORMAT", "json"), ("RUST_LOG", "debug")]).await?;
    let worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "a very private question");
    replied(&cluster, USER, 1).await?;
    wait::until("the worker's log", Duration::from_secs(10), async || {
        Ok(worker.output().contains("\"message sent\"").then_some(()))
    })
    .await?;
    for output in [cluster.api.output(), worker.output()] {
        assert!(!output.contains("private") && !output.contains(dmrelay_tests::rest::TOKEN), "{output}");
        for line in output.lines() {
            let line: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            for (name, value) in line.as_object().into_iter().flatten() {
                // Ids and codes are names, also where they consist of digits.
                let is_name = ["id", "account", "code", "user"].iter().any(|part| name.contains(part));
                let is_number = value.as_str().is_some_and(|text| text.parse::<f64>().is_ok());
                assert!(is_name || !is_number, "{name} is a number in quotes: {line}");
            }
        }
    }
    let metrics = cluster.metrics().await?;
    assert!(metrics.contains("dmrelay_webhook_requests_total{result=\"ok\"}"), "{metrics}");
    let _: Rest = cluster.rest.clone();
    Ok(())
}

/// A client of one API process receives events that arrive through another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_delivered_by_every_api_process() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let (mut second, other) = cluster.another_api().await?;
    let mut worker = cluster.worker()?;
    let path = agent_path("events");
    let mut stream = Stream::open(&other, &path, None).await?;
    // Meta's webhooks go to the first.
    cluster.simulator.say(ACCOUNT, USER, "hello");
    stream.next("message.received").await?;
    let sent = stream.next("message.sent").await?;
    let last = sent["id"].as_str().context("id")?;
    drop(stream);
    cluster.simulator.say(ACCOUNT, "200000000000077", "while away");
    replied(&cluster, "200000000000077", 1).await?;
    // Resumes after the event delivered by the second.
    let mut resumed = Stream::open(&cluster.rest, &path, Some(last)).await?;
    resumed.next("message.received").await?;
    for process in [&mut second, &mut worker] {
        process.terminate()?;
        assert!(process.ended(Duration::from_secs(30)).await?.success());
    }
    Ok(())
}
