//! The list of accounts for the operator.

use super::{USER, admin, admin_json, admin_with, only, refuse, replied};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_moves_with_its_history() -> Result<()> {
    const THERE: &str = "/api/database/umbrella/chat-agents/agent_umbrella/instagram";
    let mut cluster = Cluster::start(&[]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    replied(&cluster, USER, 1).await?;
    refuse(&cluster, 1);
    cluster.simulator.say(ACCOUNT, "200000000000002", "refused");
    let there = async |call: &str| {
        anyhow::Ok(cluster.rest.request("GET", &format!("{THERE}/{call}"), None, &[]).await?.json)
    };
    wait::until("a dead letter", Duration::from_secs(20), async || {
        Ok((cluster.rest.get("dead-letters").await?.json["total"] == 1).then_some(()))
    })
    .await?;
    let listed = admin_json(&cluster, &["connections"]).await?;
    let id = only(&listed)?["connectionId"].as_str().unwrap_or_default().to_owned();
    let log = cluster.rest.get("activities?limit=200").await?.json["total"].clone();
    // Not to an agent of others, nor what is not there.
    let body = json!({"accessToken": "IGAAb", "instagramAccountId": "17841400000000002", "webhookVerificationToken": "12345678"});
    cluster.simulator.put_account(dmrelay_simulator::AccountSpec::new("17841400000000002", "b", "IGAAb"));
    let path = "/api/database/b/chat-agents/agent_b/instagram/connect";
    assert_eq!(
        cluster.rest.request("POST", path, Some(body.to_string().into_bytes()), &[]).await?.status,
        201
    );
    for (args, told) in [
        (
            ["connections", "move", &id, "--to", "umbrella", "--agent", "agent_b"],
            "belongs to the subaccount b",
        ),
        (
            [
                "connections",
                "move",
                "01a20544-61e7-70d9-b990-25c732d763b2",
                "--to",
                "umbrella",
                "--agent",
                "a",
            ],
            "there is no connection",
        ),
    ] {
        let (success, output) = admin_with(&cluster, &args, &[]).await?;
        assert!(!success && output.contains(told), "{output}");
    }
    let moved =
        admin(&cluster, &["connections", "move", &id, "--to", "umbrella", "--agent", "agent_umbrella"])
            .await?;
    assert_eq!(moved, format!("moved @acme {ACCOUNT} to umbrella, where agent_umbrella answers"));
    assert_eq!(cluster.rest.get("status").await?.status, 404);
    assert_eq!(there("status").await?["connectionId"], json!(id));
    assert_eq!(
        (&there("messages").await?["total"], &there("dead-letters").await?["total"]),
        (&json!(3), &json!(1))
    );
    // All of the connection's, and that it was moved.
    let all = there("activities?limit=200").await?["total"].as_i64();
    assert!(all >= log.as_i64(), "{all:?} {log}");
    assert_eq!(cluster.rest.get("activities").await?.json["total"], 0);
    // The conversation goes on with the agent there, which is told what was said.
    wait::until("the move is known", Duration::from_secs(5), async || {
        Ok((there("status").await?["status"] == "connected").then_some(()))
    })
    .await?;
    cluster.simulator.say(ACCOUNT, USER, "and now?");
    replied(&cluster, USER, 2).await?;
    let asked = cluster.simulator.record(|record| record.completions.last().map(|one| one.content.clone()));
    let asked = asked.unwrap_or_default();
    assert!(asked.contains("customer: hello") && asked.ends_with("and now?"), "{asked}");
    Ok(())
}
