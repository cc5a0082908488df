//! Agents that a subaccount proves to be its own, with its own key at Retell.

use anyhow::{Context, Result, ensure};
use dmrelay_runtime::settings::AgentBinding;
use dmrelay_simulator::AccountSpec;
use dmrelay_store::entity::{chat, provider_key};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, Rest, connect_body};
use dmrelay_tests::wait;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(a_key_of_its_own_proves_and_asks_a_subaccounts_agents);

const KEY: &str = "key_of_acme_1234567890";
const USER: &str = "200000000000001";
const PATH: &str = "/api/database/acme/provider-key";
const OTHER_ACCOUNT: &str = "17841400000000002";

async fn connect(rest: &Rest, subaccount: &str, agent: &str, body: &Value) -> Result<Answer> {
    let path = format!("/api/database/{subaccount}/chat-agents/{agent}/instagram/connect");
    rest.request("POST", &path, Some(body.to_string().into_bytes()), &[]).await
}

async fn put(rest: &Rest, key: &str) -> Result<Answer> {
    rest.request("PUT", PATH, Some(json!({ "key": key }).to_string().into_bytes()), &[]).await
}

fn kind(answer: &Answer) -> (u16, &str) {
    let kind = answer.json["type"].as_str().unwrap_or_default();
    (answer.status, kind.trim_start_matches("urn:dmrelay:problem:"))
}

async fn a_key_of_its_own_proves_and_asks_a_subaccounts_agents(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| settings.api.agent_binding = AgentBinding::Assigned).await?;
    let rest = &relay.rest;
    relay.simulator.configure(|settings| {
        settings.retell.workspaces.insert(KEY.to_owned(), vec!["agent_acme".to_owned()]);
    });
    relay.simulator.put_account(AccountSpec::new(OTHER_ACCOUNT, "other", "IGAAtest-token-of-other"));
    let (body, other) = (connect_body(), {
        let mut body = connect_body();
        body["accessToken"] = json!("IGAAtest-token-of-other");
        body["instagramAccountId"] = json!(OTHER_ACCOUNT);
        body
    });
    assert_eq!(kind(&connect(rest, "acme", "agent_acme", &body).await?), (403, "agent-not-assigned"));
    assert_eq!(kind(&put(rest, "key_of_nobody").await?), (422, "provider-key-refused"));
    assert_eq!(put(rest, "short").await?.status, 422);
    let set = put(rest, KEY).await?;
    assert_eq!((set.status, &set.json["isOwn"]), (200, &json!(true)), "{}", set.text);
    assert!(!set.text.contains(KEY));
    let rows = provider_key::Entity::find().all(relay.store.connection()).await?;
    ensure!(rows.len() == 1 && !rows[0].key.windows(KEY.len()).any(|part| part == KEY.as_bytes()));
    // The key reads its own agent and no other; what it reads is nobody else's.
    assert_eq!(kind(&connect(rest, "acme", "agent_shared", &body).await?), (422, "agent-not-found"));
    assert_eq!(connect(rest, "acme", "agent_acme", &body).await?.status, 201);
    assert_eq!(kind(&connect(rest, "squatter", "agent_acme", &other).await?), (403, "agent-not-assigned"));
    let tx = relay.store.begin().await?;
    let shared = dmrelay_domain::ids::AgentId::parse("agent_shared")?;
    tx.bind_agent(&shared, &dmrelay_domain::ids::SubaccountId::parse("other")?, &"test".into()).await?;
    tx.commit().await?;
    assert_eq!(connect(rest, "other", "agent_shared", &other).await?.status, 201);
    // Each is asked with its key: the simulator shows a key nothing else.
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    // A key that is revoked at Retell is that subaccount's trouble.
    relay.simulator.configure(|settings| settings.retell.workspaces.clear());
    relay.simulator.say(ACCOUNT, USER, "are you there?");
    let open = async || relay.store.open_breaker_rows().await;
    let rows = wait::until("the breaker of the key", Duration::from_secs(20), async || {
        let rows = open().await?;
        Ok((!rows.is_empty()).then_some(rows))
    })
    .await?;
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["provider:acme"]);
    relay.simulator.say(OTHER_ACCOUNT, "200000000000002", "and you?");
    let answered = |record: &dmrelay_simulator::Record| {
        record.sends_to(OTHER_ACCOUNT, "200000000000002").next().is_some()
    };
    relay.simulator.wait_for("the other's answer", Duration::from_secs(20), answered).await?;
    // With a new key it is answered, once the conversation's pause is over; here it is ended.
    let new = "key_of_acme_0987654321";
    relay.simulator.configure(|settings| {
        settings.retell.workspaces.insert(new.to_owned(), vec!["agent_acme".to_owned()]);
    });
    assert_eq!(put(rest, new).await?.status, 200);
    assert_eq!(relay.store.open_breaker_rows().await?, []);
    let due = chat::Entity::update_many()
        .col_expr(chat::Column::TurnDueAt, 1_i64.into())
        .filter(chat::Column::TurnDueAt.is_not_null());
    due.exec(relay.store.connection()).await?;
    assert_eq!(relay.replies(USER, 2).await?[1], "Answer to: are you there?");
    // A key of another workspace does not fit the agents that are connected.
    relay.simulator.configure(|settings| {
        settings.retell.workspaces.insert("key_of_elsewhere".to_owned(), Vec::new());
    });
    assert_eq!(kind(&put(rest, "key_of_elsewhere").await?), (422, "agent-not-found"));
    assert_eq!(rest.request("DELETE", PATH, None, &[]).await?.status, 204);
    let shown = rest.request("GET", PATH, None, &[]).await?;
    assert_eq!((shown.status, &shown.json["isOwn"]), (200, &json!(false)));
    let logged =
        rest.request("GET", "/api/database/acme/activities?kind=PROVIDER_KEY_SET", None, &[]).await?;
    let items = logged.json["items"].as_array().context("no items")?;
    assert_eq!((items.len(), &items[0]["actor"]), (2, &json!("bootstrap key")), "{}", logged.text);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sets_and_removes_keys_of_subaccounts() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    cluster.simulator.configure(|settings| {
        settings.retell.workspaces.insert(KEY.to_owned(), vec!["agent_acme".to_owned()]);
    });
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("key");
    let admin = async |args: &[&str]| {
        cluster.run("dmrelay-api", &[&["admin", "provider-keys"], args].concat(), &[]).await
    };
    let path = file.to_str().context("path")?;
    for (key, says) in
        [("key_of_nobody", "does not accept the key"), ("key_simulated", "is not of the key's workspace")]
    {
        std::fs::write(&file, key)?;
        let (success, output) = admin(&["set", "acme", "--file", path]).await?;
        assert!(!success && output.contains(says), "{output}");
    }
    std::fs::write(&file, format!("{KEY}\n"))?;
    let (success, output) = admin(&["set", "acme", "--file", path]).await?;
    assert!(
        success && output.contains("asks its 1 agents with its own key") && !output.contains(KEY),
        "{output}"
    );
    let (_, listed) = admin(&["list"]).await?;
    assert!(listed.contains("acme") && !listed.contains(KEY), "{listed}");
    assert!(admin(&["remove", "acme"]).await?.0);
    assert!(!admin(&["remove", "acme"]).await?.0);
    Ok(())
}
