//! Bodies that are announced and never come, and bodies that never end.

use super::{socket, status};
use anyhow::Result;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, KEY, agent_path, text_webhook};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SHARED: &str = "/webhooks/instagram";

/// The head of a webhook of this size; `signature` is its header line.
fn head(signature: &str, length: usize) -> String {
    format!("POST {SHARED} HTTP/1.1\r\nhost: x\r\n{signature}content-length: {length}\r\n\r\n")
}

fn signature() -> String {
    format!("x-hub-signature-256: sha256={}\r\n", "0".repeat(64))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn announced_webhooks_keep_no_room_from_genuine_ones() -> Result<()> {
    let cluster =
        Cluster::start(&[("WEBHOOK_MAX_BYTES_READING", "4194304"), ("WEBHOOK_TIMEOUT", "60s")]).await?;
    let base = cluster.rest.address();
    // Together they announce sixteen times of what may be in memory, of which each sends nothing.
    let mut silent = Vec::new();
    for _ in 0..32 {
        silent.push(socket(&base, &head(&signature(), 2 * 1024 * 1024)).await?);
    }
    for number in 0..60 {
        let webhook = text_webhook(ACCOUNT, "7", &format!("m-{number}"), "hello");
        assert_eq!(cluster.rest.webhook(SHARED, &webhook, APP_SECRET).await?.status, 200, "{number}");
    }
    drop(silent);
    // What cannot be signed is not even read.
    for bad in [String::new(), "x-hub-signature-256: sha256=short\r\n".to_owned(), signature().repeat(2)] {
        let mut unsigned = socket(&base, &head(&bad, 1_000)).await?;
        assert_eq!(status(&mut unsigned, Duration::from_secs(5)).await?, 403, "{bad:?}");
    }
    let mut huge = socket(&base, &head(&signature(), 2 * 1024 * 1024 + 1)).await?;
    assert_eq!(status(&mut huge, Duration::from_secs(5)).await?, 413);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_from_one_address_hold_no_more_than_their_share() -> Result<()> {
    let proxies = ("TRUSTED_PROXIES", "127.0.0.1");
    let most = [("WEBHOOK_MAX_BYTES", "262144"), ("WEBHOOK_MAX_BYTES_PER_ADDRESS", "262144")];
    let room = [most[0], most[1], ("WEBHOOK_TIMEOUT", "60s"), proxies];
    let cluster = Cluster::start(&room).await?;
    let base = cluster.rest.address();
    let from = |address: &str, body: usize| {
        let line = format!("{}x-forwarded-for: {address}\r\n", signature());
        head(&line, 250_000) + &"x".repeat(body)
    };
    let _held = socket(&base, &from("203.0.113.9", 200_000)).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut more = socket(&base, &from("203.0.113.9", 100_000)).await?;
    assert_eq!(status(&mut more, Duration::from_secs(5)).await?, 503);
    // Chunked bodies are no special case.
    let chunked = format!(
        "POST {SHARED} HTTP/1.1\r\nhost: x\r\n{}x-forwarded-for: 203.0.113.9\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n{}",
        signature(),
        "x".repeat(100_000)
    );
    let mut chunked = socket(&base, &chunked).await?;
    assert_eq!(status(&mut chunked, Duration::from_secs(5)).await?, 503);
    // Meta's come from elsewhere.
    let webhook = text_webhook(ACCOUNT, "7", "m-1", "hello");
    let signed = dmrelay_domain::signature::sign(APP_SECRET.as_bytes(), &webhook);
    let headers = [("x-hub-signature-256", signed.as_str()), ("x-forwarded-for", "198.51.100.7")];
    assert_eq!(cluster.rest.request("POST", SHARED, Some(webhook), &headers).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_bodies_that_never_end_take_nothing_from_other_callers() -> Result<()> {
    let cluster =
        Cluster::start(&[("API_MAX_BYTES_PER_PRINCIPAL", "262144"), ("API_BODY_TIMEOUT", "3s")]).await?;
    let base = cluster.rest.address();
    let keys = "/api/database/acme/api-keys";
    let body = serde_json::json!({"name": "greedy", "role": "operator"}).to_string();
    let created = cluster.rest.request("POST", keys, Some(body.into_bytes()), &[]).await?;
    let greedy = created.json["key"].as_str().unwrap_or_default().to_owned();
    assert_eq!(created.status, 201, "{}", created.text);
    let endless = |key: &str| {
        let path = agent_path("send");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        );
        format!("{head}transfer-encoding: chunked\r\n\r\n186a0\r\n{}\r\n", "x".repeat(100_000))
    };
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(socket(&base, &endless(&greedy)).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut third = socket(&base, &endless(&greedy)).await?;
    assert_eq!(status(&mut third, Duration::from_secs(2)).await?, 503);
    // Another caller has their own share.
    let mut other = socket(&base, &endless(KEY)).await?;
    other.write_all(b"0\r\n\r\n").await?;
    assert_eq!(status(&mut other, Duration::from_secs(2)).await?, 400);
    // And what does not end is given up.
    for stream in &mut held {
        assert_eq!(status(stream, Duration::from_secs(10)).await?, 408);
    }
    // Strangers' bodies are not read.
    let mut stranger = socket(&base, &endless("unknown")).await?;
    assert_eq!(status(&mut stranger, Duration::from_secs(2)).await?, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_keys_bring_a_subaccount_no_more_room() -> Result<()> {
    let room = [("API_MAX_BYTES_PER_SUBACCOUNT", "262144"), ("API_KEYS_PER_SUBACCOUNT", "3")];
    let cluster = Cluster::start(&room).await?;
    let base = cluster.rest.address();
    let create = async |name: &str| {
        let body = serde_json::json!({"name": name, "role": "operator"}).to_string();
        cluster.rest.request("POST", "/api/database/acme/api-keys", Some(body.into_bytes()), &[]).await
    };
    let mut held = Vec::new();
    for (number, expected) in [(1, None), (2, None), (3, Some(503))] {
        let created = create(&format!("key {number}")).await?;
        let key = created.json["key"].as_str().unwrap_or_default();
        let (path, body) = (agent_path("send"), "x".repeat(100_000));
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        );
        let endless = format!("{head}transfer-encoding: chunked\r\n\r\n186a0\r\n{body}\r\n");
        let mut stream = socket(&base, &endless).await?;
        match expected {
            Some(expected) => assert_eq!(status(&mut stream, Duration::from_secs(5)).await?, expected),
            None => tokio::time::sleep(Duration::from_millis(300)).await,
        }
        held.push(stream);
    }
    let fourth = create("key 4").await?;
    assert_eq!((fourth.status, &fourth.json["type"]), (409, &"urn:dmrelay:problem:too-many-keys".into()));
    Ok(())
}
