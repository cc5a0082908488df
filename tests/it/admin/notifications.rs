//! `admin notifications`: the operator adds a target of its own, tests it, and sees what it was told.

use super::{admin, admin_json, admin_with, only};
use anyhow::{Context, Result};
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::receiver::Receiver;
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_notified_of_what_is_wrong_with_any_account() -> Result<()> {
    let mut cluster = Cluster::start(&[
        ("NOTIFICATION_PRIVATE_ADDRESSES", "true"),
        ("INCIDENT_INTERVAL", "200ms"),
        ("INCIDENT_AFTER", "0s"),
    ])
    .await?;
    let _worker = cluster.worker()?;
    assert_eq!(admin(&cluster, &["notifications", "targets"]).await?, "nobody is notified");
    assert_eq!(admin(&cluster, &["notifications", "incidents"]).await?, "nothing is wrong");
    let receiver = Receiver::start().await?;
    let url = receiver.url("/ops");
    let added = admin(&cluster, &["notifications", "add", "--url", &url, "--kind", "dead_letters"]).await?;
    let (id, secret) = (word(&added, "target ")?, word(&added, "signed with ")?);
    let targets = admin_json(&cluster, &["notifications", "targets"]).await?;
    assert_eq!((&targets[0]["targetId"], &targets[0]["kinds"][0]), (&id.into(), &"dead_letters".into()));
    let tested = admin(&cluster, &["notifications", "test", id]).await?;
    assert!(tested.starts_with(&format!("delivered to {url}: answered with 200")), "{tested}");
    assert_eq!(receiver.received()[0].signatures_of(secret.trim_end_matches(';'))?, 1);
    // A message of some subaccount fails.
    cluster.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(551, None));
    cluster.simulator.say(ACCOUNT, "200000000000001", "hello");
    wait::until("it is told", Duration::from_secs(30), async || {
        let told = admin_json(&cluster, &["notifications", "list", "--state", "delivered"]).await?;
        Ok((told.as_array().map(Vec::len) == Some(2)).then_some(()))
    })
    .await?;
    let told = admin_json(&cluster, &["notifications", "list", "--state", "delivered"]).await?;
    assert_eq!((&told[0]["incident"]["kind"], &told[1]["type"]), (&"dead_letters".into(), &"test".into()));
    let list = admin_json(&cluster, &["notifications", "incidents"]).await?;
    assert_eq!(only(&list)?["subaccountId"], "acme", "{list}");
    // A receiver that refuses is told with its answer.
    receiver.answer(403);
    let (success, refused) = admin_with(&cluster, &["notifications", "test", id], &[]).await?;
    assert!(!success && refused.contains("the receiver answered with 403"), "{refused}");
    let disabled = admin(&cluster, &["notifications", "disable", id]).await?;
    assert_eq!(disabled, "disabled");
    let (success, refused) = admin_with(&cluster, &["notifications", "test", id], &[]).await?;
    assert!(!success && refused.contains("enable it first"), "{refused}");
    admin(&cluster, &["notifications", "remove", id]).await?;
    let (success, gone) = admin_with(&cluster, &["notifications", "remove", id], &[]).await?;
    assert!(!success && gone.contains("the operator has no notification target"), "{gone}");
    let args = ["notifications", "add", "--url", "http://127.0.0.1/"];
    let (success, refused) =
        admin_with(&cluster, &args, &[("NOTIFICATION_PRIVATE_ADDRESSES", "false")]).await?;
    assert!(!success && refused.contains("--url must begin with https://"), "{refused}");
    Ok(())
}

/// The word after this text.
fn word<'a>(text: &'a str, after: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(after).with_context(|| text.to_owned())?;
    rest.split_whitespace().next().with_context(|| text.to_owned())
}
