//! Conversations are found by their customer.

use super::{USER, admin, admin_json, admin_with, only, replied};
use anyhow::Result;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::rest::ACCOUNT;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_are_found_by_their_customer() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    for user in [USER, "200000000000002"] {
        cluster.simulator.say(ACCOUNT, user, "hello");
        replied(&cluster, user, 1).await?;
    }
    assert_eq!(admin_json(&cluster, &["chats"]).await?.as_array().map(Vec::len), Some(2));
    // The simulator's handles end with the user's id.
    let found = admin_json(&cluster, &["chats", "--search", "CUSTOMER_200000000000002"]).await?;
    let chat = only(&found)?;
    assert_eq!(
        (&chat["instagramUserId"], &chat["subaccountId"]),
        (&json!("200000000000002"), &json!("acme"))
    );
    assert_eq!((&chat["account"], &chat["mode"]), (&json!(ACCOUNT), &json!("bot")));
    let table = admin(&cluster, &["chats", "--subaccount", "acme", "--search", "0001"]).await?;
    assert!(
        table.contains("customer_200000000000001 (200000000000001)") && table.lines().count() == 2,
        "{table}"
    );
    assert_eq!(admin(&cluster, &["chats", "--mode", "human"]).await?, "no chats");
    let (success, nobody) = admin_with(&cluster, &["chats", "--subaccount", "nobody"], &[]).await?;
    assert!(!success && nobody.contains("no account of subaccount nobody is connected"), "{nobody}");
    Ok(())
}
