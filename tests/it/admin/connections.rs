//! The list of accounts for the operator.

use super::{admin, admin_json, only};
use anyhow::Result;
use dmrelay_domain::ids::InstagramAccountId;
use dmrelay_store::BreakerKey;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::open_store;
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_shown_with_what_holds_it_back() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let healthy = admin_json(&cluster, &["connections"]).await?;
    let healthy = only(&healthy)?;
    assert_eq!((&healthy["subaccountId"], &healthy["status"]), (&json!("acme"), &json!("connected")));
    assert_eq!((&healthy["tokenDaysLeft"], &healthy["openBreakers"]), (&json!(null), &json!([])));

    // Without a worker, incoming messages wait.
    cluster.simulator.say(ACCOUNT, super::USER, "hello");
    let store = open_store(&cluster.postgres.url()).await?;
    let at = store.now().await? + 9 * 86_400_000 + 3_600_000;
    let db = store.connection();
    db.execute_unprepared(&format!("UPDATE instagram_connections SET token_expires_at = {at}")).await?;
    db.execute_unprepared(
        "INSERT INTO chats (id, connection_id, agent_id, instagram_user_id, chat_status, metadata, mode, \
         turn_due_at, created_at, updated_at) SELECT gen_random_uuid(), id, agent_id, '1', 'ongoing', '{}', 'bot', \
         1, 1, 1 FROM instagram_connections",
    )
    .await?;
    let breaker = BreakerKey::GraphAccount(InstagramAccountId::parse(ACCOUNT)?);
    store.open_breaker(&breaker, Duration::from_mins(10), "368: temporarily blocked").await?;
    let shown = wait::until("an event", Duration::from_secs(20), async || {
        let listed = admin_json(&cluster, &["connections"]).await?;
        let one = only(&listed)?.clone();
        Ok((!one["openBreakers"].as_array().is_none_or(Vec::is_empty)).then_some(one))
    })
    .await?;
    assert_eq!(shown["tokenDaysLeft"], json!(9), "{shown}");
    assert_eq!(shown["openBreakers"][0]["reason"], json!("368: temporarily blocked"));
    assert_eq!(shown["queue"], json!({"turnsDue": 1, "chatsSending": 0}));

    let table = admin(&cluster, &["connections"]).await?;
    assert!(table.contains("@acme 17841400000000001") && table.contains("9 days"), "{table}");
    assert!(table.contains("368: temporarily blocked"), "{table}");
    assert_eq!(admin(&cluster, &["connections", "--status", "restricted"]).await?, "no connections");
    assert_eq!(admin(&cluster, &["connections", "--subaccount", "other"]).await?, "no connections");
    cluster.rest.post("disconnect", json!({})).await?;
    assert_eq!(admin(&cluster, &["connections"]).await?, "no connections");
    let gone = admin_json(&cluster, &["connections", "--status", "disconnected"]).await?;
    assert_eq!(only(&gone)?["status"], json!("disconnected"));
    Ok(())
}
