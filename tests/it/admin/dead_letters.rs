//! Dead letters are shown, replayed and discarded on the command line.

use super::{USER, admin, admin_json, admin_with, only, refuse, replied};
use anyhow::{Context, Result};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

const LETTERS: &[&str] = &["dead-letters"];

/// This many open dead letters, newest first.
async fn letters(cluster: &Cluster, count: usize) -> Result<Vec<Value>> {
    wait::until("dead letters", Duration::from_secs(30), async || {
        let listed = admin_json(cluster, &["dead-letters", "list"]).await?;
        let items = listed.as_array().cloned().context("no list")?;
        Ok((items.len() == count).then_some(items))
    })
    .await
}

fn id(letter: &Value) -> Result<&str> {
    letter["deadLetterId"].as_str().context("id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_question_is_answered() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    refuse(&cluster, 1);
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let letter = letters(&cluster, 1).await?.remove(0);
    let letter = id(&letter)?;
    let shown = admin(&cluster, &["dead-letters", "show", letter]).await?;
    for part in ["subaccount  acme", "class       invalid", "speaks of   turn ", "replayed    -"] {
        assert!(shown.contains(part), "{shown}");
    }
    let table = admin(&cluster, &["dead-letters", "list", "--since", "1h", "--kind", "turn"]).await?;
    assert!(table.contains(letter) && table.contains("acme"), "{table}");
    assert_eq!(admin(&cluster, &["dead-letters", "list", "--class", "gone"]).await?, "no dead letters");

    let dry = admin(&cluster, &["dead-letters", "replay", "--class", "invalid", "--dry-run"]).await?;
    assert!(dry.contains("1 would be replayed, 0 would be refused"), "{dry}");
    assert_eq!(letters(&cluster, 1).await?.len(), 1);
    let replayed = admin(&cluster, &["dead-letters", "replay", "--class", "invalid"]).await?;
    assert!(replayed.contains("1 replayed, 0 refused"), "{replayed}");
    replied(&cluster, USER, 1).await?;
    letters(&cluster, 0).await?;

    let closed = admin_json(&cluster, &["dead-letters", "list", "--state", "replayed"]).await?;
    assert_eq!(only(&closed)?["closedBy"], json!("command line"));
    let log = cluster.rest.get("activities?kind=DEAD_LETTER_REPLAYED").await?;
    assert_eq!(log.json["items"][0]["actor"], json!("command line"), "{}", log.text);
    let (success, again) = admin_with(&cluster, &[LETTERS, &["replay", letter]].concat(), &[]).await?;
    assert!(!success && again.contains("it was already replayed or discarded"), "{again}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_discarded_by_a_filter() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    refuse(&cluster, 2);
    cluster.simulator.say(ACCOUNT, USER, "hello");
    cluster.simulator.say(ACCOUNT, "200000000000002", "hello");
    letters(&cluster, 2).await?;
    let dry = admin(&cluster, &["dead-letters", "discard", "--class", "invalid", "--dry-run"]).await?;
    assert!(dry.contains("2 would be discarded, 0 would be refused"), "{dry}");
    let none = admin(&cluster, &["dead-letters", "discard", "--class", "gone"]).await?;
    assert_eq!(none, "0 discarded, 0 refused");
    let one = admin_json(&cluster, &["dead-letters", "discard", "--kind", "turn", "--limit", "1"]).await?;
    assert_eq!((only(&one["discarded"])?.is_string(), &one["refused"]), (true, &json!([])));
    let rest = admin(&cluster, &["dead-letters", "discard", "--created-before", "0s"]).await?;
    assert!(rest.contains("1 discarded, 0 refused"), "{rest}");
    letters(&cluster, 0).await?;
    let closed = admin_json(&cluster, &["dead-letters", "list", "--state", "discarded"]).await?;
    assert_eq!(closed.as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_that_would_fail_again_are_refused_and_the_others_continue() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    refuse(&cluster, 3);
    for user in 1..=3 {
        cluster.simulator.say(ACCOUNT, &format!("20000000000000{user}"), "hello");
    }
    let open = letters(&cluster, 3).await?;
    let (newest, middle, oldest) = (id(&open[0])?, id(&open[1])?, id(&open[2])?);
    let chat = open[2]["chatId"].as_str().context("chat")?;
    assert_eq!(cluster.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?.status, 200);
    let unknown = "01930000-0000-7000-8000-000000000000";

    let run = async |args: &[&str]| admin_with(&cluster, &[LETTERS, args].concat(), &[]).await;
    let (_, which) = run(&["replay"]).await?;
    assert!(which.contains("no selection"), "{which}");
    assert!(!run(&["replay", newest, "--all"]).await?.0);
    let (success, dry) = run(&["replay", "--all", "--dry-run"]).await?;
    assert!(!success && dry.contains("2 would be replayed, 1 would be refused"), "{dry}");
    // The oldest come first.
    let (success, first) = run(&["replay", "--created-before", "0s", "--limit", "1", "--json"]).await?;
    assert!(!success && first.contains(oldest) && first.contains("a human agent has taken over"), "{first}");
    let (success, named) = run(&["replay", middle, oldest, unknown]).await?;
    assert!(!success && named.contains("1 replayed, 2 refused"), "{named}");
    assert!(named.contains(&format!("refused    {unknown}  no such dead letter")), "{named}");
    let (success, discarded) = run(&["discard", oldest, unknown]).await?;
    assert!(!success && discarded.contains(&format!("discarded  {oldest}")), "{discarded}");
    assert!(discarded.contains("1 of 2 dead letters were refused"), "{discarded}");
    let (_, which) = run(&["discard"]).await?;
    assert!(which.contains("no selection"), "{which}");
    let (success, rest) = run(&["replay", "--all"]).await?;
    assert!(success && rest.contains(newest), "{rest}");
    for letter in [&open[0], &open[1]] {
        let chat = letter["chatId"].as_str().context("chat")?;
        let detail = cluster.rest.get(&format!("chats/{chat}")).await?;
        let user = detail.json["chat"]["instagramUserId"].as_str().context("user")?;
        replied(&cluster, user, 1).await?;
    }
    Ok(())
}
