//! Limits on how often, how much and how slowly a client may call.

use anyhow::{Context, Result};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{APP_SECRET, agent_path, text_webhook};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

on_both_backends!(
    a_key_that_calls_too_often_must_wait,
    an_address_is_limited_before_authentication,
    webhooks_are_not_limited_by_address,
    bodies_too_long_or_too_slow_are_rejected,
);

async fn a_key_that_calls_too_often_must_wait(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.rate_per_principal = 1;
        settings.limits.burst_per_principal = 5;
    })
    .await?;
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(relay.rest.get("status").await?);
    }
    let limited = answers.iter().find(|answer| answer.status == 429).context("never limited")?;
    assert_eq!(limited.json["type"], json!("urn:dmrelay:problem:rate-limited"));
    let seconds: u64 = limited.header("retry-after").parse()?;
    assert!((1..=5).contains(&seconds), "{seconds}");
    let good = &answers[0];
    assert_eq!(good.status, 200);
    for answer in [good, limited] {
        assert!(answer.header("ratelimit-policy").contains("\"principal\";q=5;w=5"), "{answer:?}");
        assert!(answer.header("ratelimit-policy").contains("\"address\""), "{answer:?}");
        assert!(answer.header("ratelimit").contains("\"principal\";r="), "{answer:?}");
    }
    // The limit passes on its own.
    wait::until("a call passes again", Duration::from_secs(10), async || {
        Ok((relay.rest.get("status").await?.status == 200).then_some(()))
    })
    .await?;
    relay.end().await
}

async fn an_address_is_limited_before_authentication(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| {
        settings.limits.rate_per_address = 1;
        settings.limits.burst_per_address = 5;
    })
    .await?;
    let stranger = relay.rest.with_key(Some("no such key"));
    let mut statuses = Vec::new();
    for number in 0..12 {
        // No proxy is trusted, so naming other addresses does not help.
        let forwarded = format!("203.0.113.{number}");
        let headers = [("x-forwarded-for", forwarded.as_str())];
        statuses.push(stranger.request("GET", &agent_path("status"), None, &headers).await?.status);
    }
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");
    relay.end().await
}

async fn webhooks_are_not_limited_by_address(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.rate_per_address = 1;
        settings.limits.burst_per_address = 3;
    })
    .await?;
    for number in 0..30 {
        let body =
            text_webhook(dmrelay_tests::rest::ACCOUNT, "200000000000001", &format!("mid-{number}"), "hi");
        let answer = relay.rest.webhook("/webhooks/instagram", &body, APP_SECRET).await?;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, ""), "{number}");
    }
    relay.end().await
}

async fn bodies_too_long_or_too_slow_are_rejected(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.api.api_body_timeout = Duration::from_secs(1);
        settings.api.header_timeout = Duration::from_secs(1);
        settings.api.webhook_timeout = Duration::from_secs(1);
    })
    .await?;
    let long =
        format!("{{\"instagramUserId\":\"1\",\"message\":\"{}\"}}", "x".repeat(10_000_000)).into_bytes();
    for (path, key) in [("send", None), ("settings", Some("long")), ("dead-letters/replay", Some("long"))] {
        let method = if path == "settings" { "PATCH" } else { "POST" };
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let answer = relay.rest.request(method, &agent_path(path), Some(long.clone()), &headers).await;
        // The connection may be closed before everything is sent.
        if let Ok(answer) = answer {
            assert_eq!(answer.status, 413, "{path}: {}", answer.text);
        }
    }
    let key = dmrelay_tests::rest::KEY;
    let send = agent_path("send");
    let begin = format!(
        "POST {send} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    assert!(answer_to(&relay, &begin).await?.starts_with("HTTP/1.1 408"));
    let webhook = "POST /webhooks/instagram HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n";
    assert!(answer_to(&relay, &format!("{webhook}\r\n{{")).await?.starts_with("HTTP/1.1 403"));
    let signature = "0".repeat(64);
    let signed = format!("{webhook}x-hub-signature-256: sha256={signature}\r\n\r\n{{");
    assert!(answer_to(&relay, &signed).await?.starts_with("HTTP/1.1 503"));
    // A head that never ends does not hold a connection.
    let head = answer_to(&relay, "GET / HTTP/1.1\r\nhost: x\r\n").await?;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    // What nobody has signed is no gap: nothing is read at Meta because of it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let status = relay.rest.get("status").await?;
    assert_eq!((status.status, &status.json["backfill"]["reason"]), (200, &Value::Null), "{}", status.text);
    relay.end().await
}

/// The response to these bytes, after which nothing more is sent.
async fn answer_to(relay: &Relay, bytes: &str) -> Result<String> {
    let mut stream = TcpStream::connect(relay.address).await?;
    stream.write_all(bytes.as_bytes()).await?;
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
    let read = read.context("neither answered nor closed")?.unwrap_or(0);
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
