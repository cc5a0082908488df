//! One conversation, step by step.

use super::{USER, admin, admin_json, admin_with, refuse, replied};
use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

const WORDS: &str = "a very private question";

/// Waits until this event has happened.
async fn until(cluster: &Cluster, args: &[&str], what: &str) -> Result<Vec<Value>> {
    wait::until(what, Duration::from_secs(30), async || {
        let (success, output) = admin_with(cluster, &[args, &["--json"]].concat(), &[]).await?;
        let steps: Vec<Value> =
            if success { serde_json::from_str(&output).context(output)? } else { Vec::new() };
        Ok(steps.iter().any(|step| step["what"] == json!(what)).then_some(steps))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_are_listed_in_order_without_message_text() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, WORDS);
    replied(&cluster, USER, 1).await?;
    let listed = admin_json(&cluster, &["connections"]).await?;
    let connection = listed[0]["connectionId"].as_str().context("connection")?;
    let of_user = ["timeline", "--connection", connection, "--user", USER];
    let steps = until(&cluster, &of_user, "echo_received").await?;
    let what: Vec<&str> = steps.iter().filter_map(|step| step["what"].as_str()).collect();
    assert_eq!(
        what,
        [
            "webhook_received",
            "stored",
            "agent_asked",
            "agent_answered",
            "queued",
            "send_started",
            "sent",
            "echo_received"
        ]
    );
    let times: Vec<&str> = steps.iter().filter_map(|step| step["at"].as_str()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let spans: i64 = steps.iter().filter_map(|step| step["afterMs"].as_i64()).sum();
    assert!(spans > 0 && steps[0]["afterMs"].is_null(), "{steps:?}");
    assert_eq!((&steps[0]["who"], &steps[0]["status"]), (&json!("user"), &json!("received")));
    assert_eq!((&steps[2]["who"], &steps[2]["status"]), (&json!("agent"), &json!("answered")));
    assert_eq!((&steps[4]["status"], &steps[4]["attempts"]), (&json!("sent"), &json!(1)));
    assert!(steps[0]["mid"].is_string() && steps[4]["mid"].is_string(), "{steps:?}");
    assert!(steps[6]["sinceWebhookMs"].as_i64().is_some_and(|since| since >= 0), "{}", steps[6]);
    assert_eq!(steps[0]["traceId"].as_str().map(str::len), Some(32), "{}", steps[0]);

    let chats = cluster.rest.get("chats").await?;
    let chat = chats.json["items"][0]["chatId"].as_str().context("chat")?.to_owned();
    let of_chat = ["timeline", "--chat", &chat];
    let table = admin(&cluster, &of_chat).await?;
    assert!(table.starts_with(&format!("chat {chat} of acme / agent_acme")), "{table}");
    assert!(table.contains("after the webhook") && table.contains("mode bot, window open"), "{table}");
    for output in [&table, &admin(&cluster, &[&of_chat[..], &["--json"]].concat()).await?] {
        assert!(!output.contains("private") && !output.contains("Answer to"), "{output}");
    }
    let readings = "/api/database/acme/activities?kind=CUSTOMER_TEXT_READ";
    let before = cluster.rest.request("GET", readings, None, &[]).await?;
    assert_eq!(before.json["total"], json!(0), "{}", before.text);
    let told = admin(&cluster, &[&of_chat[..], &["--text"]].concat()).await?;
    assert!(told.contains(&format!("\"{WORDS}\"")) && told.contains("\"Answer to: "), "{told}");
    // Its owner sees who read it.
    let after = cluster.rest.request("GET", readings, None, &[]).await?;
    let reading = &after.json["items"][0];
    assert_eq!((&after.json["total"], &reading["subject"]), (&json!(1), &json!(chat)), "{}", after.text);
    assert_eq!(reading["details"], json!({"command": "timeline --text"}));
    assert!(reading["actorId"].as_str().is_some_and(|id| id.starts_with("os:")), "{reading}");
    let (success, none) =
        admin_with(&cluster, &["timeline", "--connection", connection, "--user", "1"], &[]).await?;
    assert!(!success && none.contains("has no chat with the user 1"), "{none}");
    assert!(!admin_with(&cluster, &["timeline"], &[]).await?.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_events_of_the_account_are_listed() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    refuse(&cluster, 1);
    cluster.simulator.say(ACCOUNT, USER, WORDS);
    let listed = admin_json(&cluster, &["connections"]).await?;
    let connection = listed[0]["connectionId"].as_str().context("connection")?;
    let of_user = ["timeline", "--connection", connection, "--user", USER];
    until(&cluster, &of_user, "dead_letter").await?;
    admin(&cluster, &["dead-letters", "replay", "--all"]).await?;
    replied(&cluster, USER, 1).await?;
    assert_eq!(cluster.rest.connect().await?.status, 201);
    let steps = until(&cluster, &of_user, "instagram_connected").await?;
    let failed = steps.iter().find(|step| step["what"] == json!("dead_letter")).context("no letter")?;
    assert_eq!((&failed["errorClass"], &failed["kind"]), (&json!("invalid"), &json!("turn")));
    let turn = steps.iter().find(|step| step["what"] == json!("agent_asked")).context("no turn")?;
    assert_eq!((&turn["status"], &turn["errorClass"]), (&json!("failed"), &json!("invalid")));
    let replayed = steps.iter().find(|step| step["what"] == json!("dead_letter_replayed"));
    assert_eq!(replayed.context("not replayed")?["who"], json!("command line"));
    let table = admin(&cluster, &of_user).await?;
    assert!(table.contains("dead letter replayed") && !table.contains("private"), "{table}");
    Ok(())
}
