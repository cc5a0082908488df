//! `admin breakers`: what is not called now, and calling it again at once.

use super::{admin, admin_with, only, replied};
use anyhow::Result;
use dmrelay_domain::ids::AgentId;
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_store::BreakerKey;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::open_store;
use dmrelay_tests::rest::{ACCOUNT, AGENT, Rest};
use dmrelay_tests::wait;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// The service is back: without this it would be called again up to five minutes later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_closes_a_breaker_when_the_service_is_back() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(0);
    let fault = cluster.simulator.add_fault(fault);
    for user in 0..5 {
        cluster.simulator.say(ACCOUNT, &format!("20000000000000{user}"), "hello");
    }
    let name = format!("agent:{AGENT}");
    let open = wait::until("an open breaker", Duration::from_secs(30), async || {
        let list: Value = serde_json::from_str(&admin(&cluster, &["breakers", "list", "--json"]).await?)?;
        Ok(list.as_array().is_some_and(|list| !list.is_empty()).then_some(list))
    })
    .await?;
    let breaker = only(&open)?;
    assert_eq!((&breaker["breaker"], &breaker["cause"]), (&name.as_str().into(), &"failing".into()));
    assert!(breaker["reason"].as_str().is_some_and(|reason| reason.contains("500")), "{breaker}");
    let status: Value = serde_json::from_str(&admin(&cluster, &["status", "--json"]).await?)?;
    assert_eq!(status["breakers"][0]["breaker"], name.as_str(), "{status}");
    assert_eq!(status["accounts"]["connected"], 1, "{status}");
    let kinds: Vec<&Value> =
        status["processes"].as_array().into_iter().flatten().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["api", "worker"], "{status}");
    assert!(status["customers"][0]["oldestSeconds"].is_i64(), "{status}");
    let screen = admin(&cluster, &["status"]).await?;
    assert!(screen.starts_with("ANSWERING") && screen.contains("wait, the longest for"), "{screen}");
    let table = admin(&cluster, &["breakers", "list"]).await?;
    assert!(table.contains("NEXT CALL") && table.contains(&name), "{table}");

    cluster.simulator.clear_faults(Some(fault));
    let closed = admin(&cluster, &["breakers", "reset", &name]).await?;
    assert!(closed.contains("is closed"), "{closed}");
    assert_eq!(admin(&cluster, &["breakers", "list"]).await?.trim(), "no circuit breaker is open");
    let (success, again) = admin_with(&cluster, &["breakers", "reset", &name], &[]).await?;
    assert!(!success && again.contains("is not open"), "{again}");
    cluster.simulator.say(ACCOUNT, "200000000000009", "are you there again?");
    replied(&cluster, "200000000000009", 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_opens_a_breaker_for_a_while() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let opened = admin(&cluster, &["breakers", "open", "agent", "--for", "10m"]).await?;
    assert!(opened.contains("for 10m"), "{opened}");
    let (_worker, port) = cluster.watched_worker()?;
    let watched = Rest::new(SocketAddr::from(([127, 0, 0, 1], port.number)))?;
    wait::until("a worker that knows it", Duration::from_secs(20), async || {
        let Ok(metrics) = watched.request("GET", "/metrics", None, &[]).await else { return Ok(None) };
        let open = "dmrelay_circuit_breakers_open{breaker=\"agent\",cause=\"told\"} 1";
        Ok(metrics.text.contains(open).then_some(()))
    })
    .await?;
    cluster.simulator.say(ACCOUNT, "200000000000001", "hello");
    let stored = async || Ok(cluster.rest.get("messages").await?.json["total"].as_i64().filter(|n| *n > 0));
    wait::until("the message is stored", Duration::from_secs(20), stored).await?;
    let list: Value = serde_json::from_str(&admin(&cluster, &["breakers", "list", "--json"]).await?)?;
    let breaker = only(&list)?;
    assert_eq!(breaker["cause"], "told");
    assert!(
        breaker["reason"].as_str().is_some_and(|reason| reason.starts_with("opened by os:")),
        "{breaker}"
    );
    assert_eq!(cluster.simulator.record(|record| record.completion_count), 0);
    let closed = admin(&cluster, &["breakers", "reset", "--all"]).await?;
    assert!(closed.contains("agent is closed") && closed.contains("1 closed"), "{closed}");
    replied(&cluster, "200000000000001", 1).await?;
    let (success, unknown) = admin_with(&cluster, &["breakers", "reset", "mail"], &[]).await?;
    assert!(!success && unknown.contains("graph:app:facebook"), "{unknown}");
    Ok(())
}

/// What began before an operator closed the breaker tells nothing new, however late it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_failures_of_old_calls_do_not_open_a_closed_breaker() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let store = open_store(&cluster.postgres.url()).await?;
    let key = BreakerKey::AgentOf(AgentId::parse(AGENT)?);
    let fail = async |ago: u64| store.record_failure(&key, "late", Duration::from_secs(ago)).await;
    for _ in 0..5 {
        fail(0).await?;
    }
    assert!(store.reset_breaker(&key).await?);
    for _ in 0..6 {
        assert_eq!(fail(120).await?, None);
    }
    assert_eq!(store.open_breaker_rows().await?, []);
    for _ in 0..4 {
        assert_eq!(fail(0).await?, None);
    }
    assert!(fail(0).await?.is_some(), "new failures count");
    Ok(())
}
