//! Who did what: every call is in the log with its caller, and a refused one with its reason.

use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::{AGENT, agent_path};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_names_the_caller_of_every_call_and_why_it_was_refused() -> Result<()> {
    let cluster = Cluster::start(&[("LOG_FORMAT", "json"), ("TRUSTED_PROXIES", "127.0.0.1")]).await?;
    let keys = "/api/database/acme/api-keys";
    let body = json!({"name": "console", "role": "viewer"}).to_string().into_bytes();
    let created = cluster.rest.request("POST", keys, Some(body), &[]).await?.json;
    let id = created["keyId"].as_str().context("keyId")?.to_owned();
    let viewer = cluster.rest.with_key(created["key"].as_str());
    let from = [("x-forwarded-for", "203.0.113.9")];
    let path = agent_path("status");
    assert_eq!(viewer.request("GET", &path, None, &from).await?.status, 200);
    assert_eq!(
        viewer.request("POST", &agent_path("disconnect"), Some(b"{}".to_vec()), &from).await?.status,
        403
    );
    assert_eq!(
        cluster.rest.with_key(Some("no-such-key")).request("GET", &path, None, &from).await?.status,
        401
    );
    let output = cluster.api.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let calls: Vec<_> = lines.filter(|line| line.to_string().contains("203.0.113.9")).collect();
    assert_eq!(calls.len(), 3, "{output}");
    let principal = format!("key:{id}");
    for (call, wanted) in calls.iter().zip([
        json!({"status": 200, "principal": principal, "subaccount": "acme", "agent": AGENT, "address": "203.0.113.9"}),
        json!({"status": 403, "principal": principal, "subaccount": "acme", "reason": "forbidden"}),
        json!({"status": 401, "subaccount": "acme", "reason": "unauthenticated", "why": "the API key is unknown, expired or revoked"}),
    ]) {
        for (name, value) in wanted.as_object().into_iter().flatten() {
            let found = call.pointer(&format!("/fields/{name}")).or(call.get(name));
            assert_eq!(found, Some(value), "{name} in {call}");
        }
    }
    assert!(!output.contains("no-such-key"), "a credential is in the log");
    let metrics = cluster.metrics().await?;
    assert!(
        metrics.contains(r#"dmrelay_http_refused_total{reason="unauthenticated",status="401"} 1"#),
        "{metrics}"
    );
    Ok(())
}
