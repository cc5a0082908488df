//! Whatever one tenant calls, with whichever ids of another, nothing of the other changes.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_domain::signature::sha256;
use dmrelay_simulator::{AccountSpec, Fault, FaultMode, Operation};
use dmrelay_store::NewApiKey;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Rest, connect_body};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(an_owner_of_one_subaccount_changes_nothing_of_another);

const USER: &str = "200000000000001";
const RIVAL_ACCOUNT: &str = "17841400000000002";
const RIVALS: &str = "/api/database/rival/chat-agents/agent_rival/instagram";
const RIVAL_KEY: &str = "key_of_rival_1234567890";
const WITHIN: Duration = Duration::from_secs(20);

/// Everything that the REST API tells of acme, but how often it was asked.
async fn state_of_acme(rest: &Rest) -> Result<Vec<(String, Value)>> {
    let mut state = Vec::new();
    for path in ["chats", "messages", "dead-letters", "activities", "connections"] {
        state.push((path.to_owned(), rest.get(path).await?.json));
    }
    for path in ["api-keys", "provider-key", "activities"] {
        let path = format!("/api/database/acme/{path}");
        let mut json = rest.request("GET", &path, None, &[]).await?.json;
        for key in json["items"].as_array_mut().into_iter().flatten() {
            key["lastUsedAt"] = Value::Null;
        }
        state.push((path, json));
    }
    Ok(state)
}

async fn an_owner_of_one_subaccount_changes_nothing_of_another(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.erasure_interval = Duration::from_millis(300);
        settings.api.data_deletion_grace = Duration::from_millis(10);
    })
    .await?;
    // Both have the same customer, and acme something that failed.
    relay.simulator.put_account(AccountSpec::new(RIVAL_ACCOUNT, "rival", "IGAAtest-token-of-rival"));
    let mut body = connect_body();
    body["accessToken"] = json!("IGAAtest-token-of-rival");
    body["instagramAccountId"] = json!(RIVAL_ACCOUNT);
    let connect = body.to_string().into_bytes();
    let connected = relay.rest.request("POST", &format!("{RIVALS}/connect"), Some(connect), &[]).await?;
    ensure!(connected.status == 201, "{}", connected.text);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
    relay.simulator.say(ACCOUNT, USER, "this fails");
    let letters = wait::until("a dead letter", WITHIN, async || {
        let letters = relay.rest.get("dead-letters").await?.json["items"].as_array().cloned();
        Ok(letters.filter(|letters| !letters.is_empty()))
    })
    .await?;
    relay.simulator.say(RIVAL_ACCOUNT, USER, "hello rival");
    let answered = |record: &dmrelay_simulator::Record| record.sends_to(RIVAL_ACCOUNT, USER).next().is_some();
    relay.simulator.wait_for("the rival's answer", WITHIN, answered).await?;
    relay.settled().await?;
    let created = json!({"name": "acme's"}).to_string().into_bytes();
    let key = relay.rest.request("POST", "/api/database/acme/api-keys", Some(created), &[]).await?;
    let key = key.json["keyId"].as_str().context("no key")?.to_owned();
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no id");
    let chat = relay.rest.get("chats").await?.json["items"][0].clone();
    let (chat, connection) = (text(&chat["chatId"])?, text(&chat["connectionId"])?);
    let letter = text(&letters[0]["deadLetterId"])?;
    relay.simulator.configure(|settings| {
        settings.retell.workspaces.insert(RIVAL_KEY.to_owned(), vec!["agent_rival".to_owned()]);
    });

    let before = state_of_acme(&relay.rest).await?;
    let owner = "dmr_the-rivals-own-key-0123456789abcdef";
    let new = NewApiKey {
        subaccount: SubaccountId::parse("rival")?,
        role: Role::Owner,
        name: "rival".to_owned(),
        hash: sha256(owner.as_bytes()),
        expires_at: None,
        created_by: "test".into(),
    };
    relay.store.create_api_key(&new).await?;
    let rival = relay.rest.with_key(Some(owner));
    let mut taken = body.clone();
    taken["instagramAccountId"] = json!(ACCOUNT);
    let mut elsewhere = body.clone();
    elsewhere["settings"] = json!({"debounceMs": 5});
    let of = |path: &str| format!("{RIVALS}/{path}");
    let acmes_agent = "/api/database/rival/chat-agents/agent_acme/instagram";
    let calls = [
        ("PUT", "/api/database/rival/provider-key".to_owned(), json!({"key": RIVAL_KEY}), 200),
        ("DELETE", "/api/database/rival/provider-key".to_owned(), Value::Null, 204),
        ("DELETE", format!("/api/database/rival/api-keys/{key}"), Value::Null, 404),
        ("POST", of(&format!("chats/{chat}/takeover")), json!({}), 404),
        ("POST", of(&format!("chats/{chat}/release")), json!({}), 404),
        ("POST", of(&format!("dead-letters/{letter}/replay")), json!({}), 404),
        ("POST", of(&format!("dead-letters/{letter}/discard")), json!({}), 404),
        ("POST", of("dead-letters/replay"), json!({}), 200),
        (
            "POST",
            of("send"),
            json!({"instagramUserId": USER, "message": "x", "connectionId": connection}),
            404,
        ),
        ("POST", of("disconnect"), json!({"connectionId": connection}), 404),
        ("PATCH", of("settings"), json!({"connectionId": connection, "botPaused": true}), 404),
        ("POST", of("connect"), taken, 422),
        ("POST", format!("{acmes_agent}/connect"), elsewhere, 403),
        ("DELETE", format!("{acmes_agent}/users/{USER}"), Value::Null, 404),
        ("DELETE", of(&format!("users/{USER}")), Value::Null, 200),
    ];
    for (method, path, body, expected) in calls {
        let body = (!body.is_null()).then(|| body.to_string().into_bytes());
        let answer = rival.request(method, &path, body, &[]).await?;
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text);
        assert!(!answer.text.contains("acme"), "{method} {path}: {}", answer.text);
    }
    // What a worker does for it later changes nothing either.
    relay.settled().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state_of_acme(&relay.rest).await?, before);
    let own = rival.request("GET", &of("messages"), None, &[]).await?;
    assert_eq!(own.json["items"], json!([]), "{}", own.text);
    // And acme's customer is answered as before.
    relay.simulator.say(ACCOUNT, USER, "are you there?");
    assert_eq!(relay.replies(USER, 2).await?[1], "Answer to: are you there?");
    relay.end().await
}
