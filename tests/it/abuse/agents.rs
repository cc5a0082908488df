//! Agents that belong to somebody else.

use anyhow::{Context, Result};
use dmrelay_simulator::{Fault, FaultMode, Operation, Service};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::process::Process;
use dmrelay_tests::rest::{Rest, agent_path, connect_body};
use serde_json::json;
use std::time::Duration;

const ASSIGNED: (&str, &str) = ("AGENT_BINDING", "assigned");

async fn connect(rest: &Rest, subaccount: &str, agent: &str) -> Result<(u16, String)> {
    let path = format!("/api/database/{subaccount}/chat-agents/{agent}/instagram/connect");
    let answer = rest.request("POST", &path, Some(connect_body().to_string().into_bytes()), &[]).await?;
    Ok((answer.status, answer.json["type"].as_str().unwrap_or_default().to_owned()))
}

async fn admin(cluster: &Cluster, args: &[&str]) -> Result<(bool, String)> {
    let args = [&["admin", "agents"], args].concat();
    cluster.run("dmrelay-api", &args, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_an_agent_by_naming_it() -> Result<()> {
    let cluster = Cluster::unconnected(&[ASSIGNED]).await?;
    let refused = (403, "urn:dmrelay:problem:agent-not-assigned".to_owned());
    assert_eq!(connect(&cluster.rest, "acme", "agent_acme").await?, refused);
    let (success, output) = admin(&cluster, &["assign", "agent_acme", "acme"]).await?;
    assert!(success, "{output}");
    // Another's agent and nobody's get the same answer.
    assert_eq!(connect(&cluster.rest, "squatter", "agent_acme").await?, refused);
    assert_eq!(connect(&cluster.rest, "squatter", "agent_none").await?, refused);
    assert_eq!(connect(&cluster.rest, "acme", "agent_acme").await?.0, 201);
    let (success, output) = admin(&cluster, &["assign", "agent_acme", "squatter"]).await?;
    assert!(!success && output.contains("belongs to the subaccount acme"), "{output}");
    let (success, output) = admin(&cluster, &["release", "agent_acme"]).await?;
    assert!(!success && output.contains("1 connected accounts"), "{output}");
    let (_, listed) = admin(&cluster, &["list", "--json"]).await?;
    let listed: serde_json::Value = serde_json::from_str(&listed[listed.find('[').context("no list")?..])?;
    assert_eq!((&listed[0]["agentId"], &listed[0]["subaccountId"]), (&json!("agent_acme"), &json!("acme")));
    // Who did it is in the log of the subaccount.
    let logged =
        cluster.rest.request("GET", "/api/database/acme/activities?kind=AGENT_ASSIGNED", None, &[]).await?;
    assert_eq!(logged.json["items"][0]["actor"], "command line", "{}", logged.text);
    // Released once nobody is connected to it.
    let release = json!({"releaseAgent": true});
    assert_eq!(cluster.rest.post("disconnect", release).await?.status, 422);
    assert_eq!(cluster.rest.post("disconnect", json!({})).await?.status, 200);
    let (success, output) = admin(&cluster, &["release", "agent_acme"]).await?;
    assert!(success, "{output}");
    assert_eq!(connect(&cluster.rest, "acme", "agent_acme").await?, refused);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connect_binds_no_agent() -> Result<()> {
    let cluster = Cluster::unconnected(&[]).await?;
    let mut body = connect_body();
    body["instagramAccountId"] = json!("17841499999999999");
    for agent in ["agent_1", "agent_2", "agent_3"] {
        let path = format!("/api/database/squatter/chat-agents/{agent}/instagram/connect");
        let answer = cluster.rest.request("POST", &path, Some(body.to_string().into_bytes()), &[]).await?;
        assert_eq!(answer.status, 422, "{}", answer.text);
    }
    let (_, listed) = admin(&cluster, &["list"]).await?;
    assert!(listed.contains("no agents"), "{listed}");
    // The owner connects, and may give the agent back.
    assert_eq!(connect(&cluster.rest, "acme", "agent_1").await?.0, 201);
    assert_eq!(connect(&cluster.rest, "squatter", "agent_1").await?.0, 403);
    let disconnect = agent_path("disconnect").replace("agent_acme", "agent_1");
    let release = json!({"releaseAgent": true}).to_string().into_bytes();
    assert_eq!(cluster.rest.request("POST", &disconnect, Some(release), &[]).await?.status, 200);
    let logged =
        cluster.rest.request("GET", "/api/database/acme/activities?kind=AGENT_RELEASED", None, &[]).await?;
    assert_eq!(logged.json["items"][0]["details"]["agentId"], "agent_1", "{}", logged.text);
    let (_, listed) = admin(&cluster, &["list"]).await?;
    assert!(listed.contains("no agents"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_released_meanwhile_is_not_bound_by_the_connect() -> Result<()> {
    let cluster = Cluster::unconnected(&[ASSIGNED, ("GRAPH_TIMEOUT", "15s")]).await?;
    assert!(admin(&cluster, &["assign", "agent_acme", "acme"]).await?.0);
    let slow = Fault::graph(Operation::Me, FaultMode::Slow).delay(Duration::from_secs(3));
    cluster.simulator.add_fault(slow);
    let (connected, released) = tokio::join!(connect(&cluster.rest, "acme", "agent_acme"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        admin(&cluster, &["release", "agent_acme"]).await
    });
    let (success, output) = released?;
    assert!(success, "{output}");
    assert_eq!(connected?, (403, "urn:dmrelay:problem:agent-not-assigned".to_owned()));
    let (_, listed) = admin(&cluster, &["list"]).await?;
    assert!(listed.contains("no agents"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_released_though_meta_is_unreachable() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let outage = Fault::new(Service::Graph, FaultMode::DropBefore).times(0);
    cluster.simulator.add_fault(outage);
    let answer = cluster.rest.post("disconnect", json!({"releaseAgent": true})).await?;
    assert_eq!((answer.status, &answer.json["agentReleased"]), (202, &json!(true)), "{}", answer.text);
    let (_, listed) = admin(&cluster, &["list"]).await?;
    assert!(listed.contains("no agents"), "{listed}");
    Ok(())
}

/// With SQLite one connection writes: a command that fails must not wait for itself.
#[tokio::test]
async fn another_subaccounts_agent_is_named_on_sqlite_too() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("agents.db").display());
    let env = [("DATABASE_URL".to_owned(), url), ("RUST_LOG".to_owned(), "error".to_owned())];
    let run = async |args: &[&str]| -> Result<(bool, String)> {
        let log = dir.path().join(format!("{}.log", args.join("-")));
        let mut process = Process::start("dmrelay-api", args, &env, log)?;
        let status = process.ended(Duration::from_secs(10)).await?;
        Ok((status.success(), process.output()))
    };
    assert!(run(&["migrate"]).await?.0);
    assert!(run(&["admin", "agents", "assign", "agent_1", "acme"]).await?.0);
    let (success, output) = run(&["admin", "agents", "assign", "agent_1", "other"]).await?;
    assert!(!success && output.contains("belongs to the subaccount acme"), "{output}");
    Ok(())
}
