//! What was acknowledged and not understood can be looked at.

use super::{admin, admin_json, admin_with, only};
use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, text_webhook};
use serde_json::json;
use std::time::Duration;

const SHARED: &str = "/webhooks/instagram";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_not_understood_are_listed_and_shown_with_their_bytes() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    assert!(admin(&cluster, &["events", "list"]).await?.contains("no events"));
    let item = json!({"sender": {"id": "7"}, "recipient": {"id": ACCOUNT}, "timestamp": 1, "brand_new": {"mid": "x"}});
    let odd = json!({"object": "instagram", "entry": [{"id": ACCOUNT, "time": 1, "messaging": [item, 17]}]});
    let nobodys = text_webhook("17841499999999999", "7", "m-1", "hello");
    for body in [odd.to_string().into_bytes(), nobodys] {
        assert_eq!(cluster.rest.webhook(SHARED, &body, APP_SECRET).await?.status, 200);
    }
    let waiting = admin_json(&cluster, &["events", "list", "--state", "new"]).await?;
    assert_eq!(waiting.as_array().map(Vec::len), Some(3), "{waiting}");
    let _worker = cluster.worker()?;
    let list = ["events", "list", "--since", "1h", "--account", ACCOUNT];
    let listed = dmrelay_tests::wait::until("the events", Duration::from_secs(20), async || {
        let listed = admin_json(&cluster, &list).await?;
        Ok(listed.as_array().filter(|listed| listed.len() == 2).cloned())
    })
    .await?;
    let brand_new = listed.iter().find(|event| event["instagramUserId"] == "7").context("the item")?;
    assert_eq!((&brand_new["state"], &brand_new["raw"]), (&json!("unknown"), &json!(null)));
    let other = listed.iter().find(|event| event["instagramUserId"].is_null()).context("the number")?;
    assert_eq!(other["error"], "unknown without a user: it is not understood");
    let id = brand_new["eventId"].as_str().context("its id")?;
    let shown = admin(&cluster, &["events", "show", id]).await?;
    assert!(shown.contains(ACCOUNT) && shown.contains("brand_new"), "{shown}");
    let shown = admin_json(&cluster, &["events", "show", id]).await?;
    assert_eq!(serde_json::from_str::<serde_json::Value>(shown["raw"].as_str().context("bytes")?)?, item);
    let readings = "/api/database/acme/activities?kind=CUSTOMER_TEXT_READ&subject=7";
    let readings = cluster.rest.request("GET", readings, None, &[]).await?;
    assert_eq!(readings.json["total"], json!(2), "{}", readings.text);
    assert_eq!(readings.json["items"][0]["details"], json!({"command": format!("events show {id}")}));
    let table = admin(&cluster, &["events", "list"]).await?;
    assert!(table.contains(id) && !table.contains("brand_new"), "{table}");

    let nobodys = admin_json(&cluster, &["events", "list", "--state", "unrouted"]).await?;
    assert_eq!(only(&nobodys)?["instagramAccountId"], "17841499999999999");
    let (success, error) =
        admin_with(&cluster, &["events", "show", "01930000-0000-7000-8000-000000000000"], &[]).await?;
    assert!(!success && error.contains("no event has the id"), "{error}");
    Ok(())
}
