//! Settings, activities, and idempotent writes.

use anyhow::{Context, Result};
use dmrelay_simulator::AgentRule;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, agent_path, connect_body};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    an_idempotency_key_belongs_to_one_agent_and_outlives_a_disconnect,
    settings_are_changed_and_reset,
    a_paused_bot_waits_and_human_agents_do_not,
    activities_record_who_did_what,
    a_repeated_write_runs_once,
    two_accounts_of_one_agent_are_separate,
    two_agents_of_a_subaccount_are_separate,
);

const USER: &str = "200000000000001";

async fn change(relay: &Relay, body: Value) -> Result<dmrelay_tests::rest::Answer> {
    relay.rest.request("PATCH", &agent_path("settings"), Some(body.to_string().into_bytes()), &[]).await
}

async fn settings_are_changed_and_reset(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let wanted = json!({
        "debounceMs": 10, "takeoverHours": 3, "typing": false, "fallbackText": "Later.", "agentVariables": {"shop": "Acme"}
    });
    let changed = change(&relay, wanted.clone()).await?;
    assert_eq!(changed.status, 200, "{}", changed.text);
    for (name, value) in wanted.as_object().context("object")? {
        assert_eq!(&changed.json["settings"][name], value, "{name}");
    }
    // Omitted fields stay, null resets.
    let back = change(&relay, json!({"debounceMs": null, "fallbackText": null})).await?;
    assert_eq!(
        (&back.json["settings"]["debounceMs"], &back.json["settings"]["takeoverHours"]),
        (&Value::Null, &json!(3))
    );
    for (body, pointer) in [
        (json!({"debounceMs": 60_001}), "/debounceMs"),
        (json!({"debounceMs": -1}), "/debounceMs"),
        (json!({"takeoverHours": 721}), "/takeoverHours"),
        (json!({"fallbackText": ""}), "/fallbackText"),
        (json!({"typing": "yes"}), "/typing"),
        (json!({"agentVariables": {"a": "x".repeat(1_001)}}), "/agentVariables/a"),
        (json!({"colour": "red"}), "/colour"),
    ] {
        let answer = change(&relay, body.clone()).await?;
        assert_eq!(
            (answer.status, answer.json["errors"][0]["pointer"].as_str()),
            (422, Some(pointer)),
            "{body}: {}",
            answer.text
        );
    }
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let told = relay.simulator.chats().iter().any(|chat| format!("{chat:?}").contains("Acme"));
    assert!(told, "the agent did not get its variables");
    let log = relay.rest.get("activities?kind=INSTAGRAM_SETTINGS_CHANGED").await?;
    assert_eq!(log.json["total"], json!(2), "{}", log.text);
    assert!(!log.text.contains("Later."), "a setting's value is in the log");
    relay.end().await
}

async fn a_paused_bot_waits_and_human_agents_do_not(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let paused = change(&relay, json!({"botPaused": true})).await?;
    assert_eq!((paused.status, &paused.json["botPaused"]), (200, &json!(true)), "{}", paused.text);
    relay.simulator.say(ACCOUNT, "200000000000002", "anybody there?");
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(relay.replies(USER, 2).await?[1], "Ada here");
    assert!(relay.sent("200000000000002").is_empty());
    assert_eq!(change(&relay, json!({"botPaused": false})).await?.json["botPaused"], json!(false));
    assert_eq!(relay.replies("200000000000002", 1).await?, ["Answer to: anybody there?"]);
    let log = relay.rest.get("activities?kind=INSTAGRAM_BOT_PAUSED,INSTAGRAM_BOT_RESUMED").await?;
    let kinds: Vec<&str> =
        log.json["items"].as_array().into_iter().flatten().filter_map(|item| item["kind"].as_str()).collect();
    // The account's pause, the takeover by /send, the account's resume.
    assert_eq!(
        kinds,
        ["INSTAGRAM_BOT_RESUMED", "INSTAGRAM_BOT_PAUSED", "INSTAGRAM_BOT_PAUSED"],
        "{}",
        log.text
    );
    relay.end().await
}

async fn activities_record_who_did_what(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "a secret");
    relay.replies(USER, 1).await?;
    // Meta has the reply a moment before it is recorded.
    relay.settled().await?;
    let sent = relay
        .rest
        .post("send", json!({"instagramUserId": USER, "message": "Ada here", "sentBy": "Ada"}))
        .await?;
    relay.replies(USER, 2).await?;
    for name in ["", " ", "a\nb", "a\u{202e}b"] {
        let refused =
            relay.rest.post("send", json!({"instagramUserId": USER, "message": "x", "sentBy": name})).await?;
        assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!("/sentBy")));
    }
    relay.settled().await?;
    relay.rest.post("disconnect", json!({})).await?;
    let log = relay.rest.get("activities").await?;
    let who: Vec<(&str, &str)> = log.json["items"]
        .as_array()
        .into_iter()
        .flatten()
        .rev()
        .filter_map(|item| Some((item["kind"].as_str()?, item["actor"].as_str()?)))
        .collect();
    assert_eq!(
        who,
        [
            ("INSTAGRAM_CONNECTED", "bootstrap key"),
            ("INSTAGRAM_MESSAGE_RECEIVED", "user"),
            ("TURN_STARTED", "system"),
            ("TURN_ENDED", "system"),
            ("INSTAGRAM_MESSAGE_SENT", "agent"),
            ("INSTAGRAM_BOT_PAUSED", "bootstrap key"),
            ("INSTAGRAM_MESSAGE_QUEUED", "bootstrap key"),
            ("INSTAGRAM_MESSAGE_SENT", "bootstrap key"),
            ("INSTAGRAM_DISCONNECTED", "bootstrap key"),
        ]
    );
    assert!(!log.text.contains("a secret") && !log.text.contains("Ada here"));
    let id = sent.json["messageId"].as_str().context("id")?;
    let about = relay.rest.get(&format!("activities?subject={id}")).await?;
    assert_eq!(about.json["total"], json!(2), "{}", about.text);
    let about = &about.json["items"][0];
    assert_eq!((&about["actorId"], &about["details"]["sentBy"]), (&json!("bootstrap"), &json!("Ada")));
    let message = relay.messages(USER).await?.into_iter().find(|message| message["messageId"] == id);
    let message = message.context("the message")?;
    assert_eq!((&message["actor"], &message["sentBy"]), (&json!("bootstrap key"), &json!("Ada")));
    let unattended = relay.rest.get("activities?kind=INSTAGRAM_MESSAGE_RECEIVED").await?;
    assert_eq!(unattended.json["items"][0]["actorId"], Value::Null);
    let by_id = relay.rest.get("activities?actor=bootstrap&limit=1").await?;
    assert_eq!(by_id.json["total"], json!(5), "{}", by_id.text);
    let page = relay.rest.get("activities?limit=7").await?;
    let cursor = page.json["nextCursor"].as_str().context("cursor")?;
    let rest = relay.rest.get(&format!("activities?limit=4&cursor={cursor}")).await?;
    assert_eq!(
        (rest.json["items"].as_array().map(Vec::len), &rest.json["nextCursor"]),
        (Some(2), &Value::Null)
    );
    assert_eq!(relay.rest.get("activities?kind=NO_SUCH").await?.status, 422);
    relay.end().await
}

async fn a_repeated_write_runs_once(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let write = async |key: &str, body: Value| {
        let body = body.to_string().into_bytes();
        relay.rest.request("PATCH", &agent_path("settings"), Some(body), &[("idempotency-key", key)]).await
    };
    let first = write("k", json!({"debounceMs": 1})).await?;
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, ""));
    change(&relay, json!({"debounceMs": 2})).await?;
    let again = write("k", json!({"debounceMs": 1})).await?;
    assert_eq!((again.status, again.header("idempotency-replayed"), &again.json), (200, "true", &first.json));
    assert_eq!(relay.rest.get("status").await?.json["settings"]["debounceMs"], json!(2));
    let other = write("k", json!({"debounceMs": 3})).await?;
    assert_eq!(
        (other.status, &other.json["type"]),
        (422, &json!("urn:dmrelay:problem:idempotency-key-reused"))
    );
    // An error response is stored like any other.
    assert_eq!(write("bad", json!({"debounceMs": -1})).await?.status, 422);
    let bad = write("bad", json!({"debounceMs": -1})).await?;
    assert_eq!((bad.status, bad.header("idempotency-replayed")), (422, "true"));
    assert_eq!(bad.content_type, "application/problem+json");
    for odd in ["", "x\u{7f}"] {
        let answer = write(odd, json!({"debounceMs": 1})).await;
        assert!(answer.map_or(true, |answer| answer.status == 422), "{odd:?}");
    }
    assert_eq!(write(&"x".repeat(256), json!({"debounceMs": 1})).await?.status, 422);
    relay.end().await
}

async fn two_accounts_of_one_agent_are_separate(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let second = "17841400000000002";
    relay.simulator.put_account(dmrelay_simulator::AccountSpec::new(
        second,
        "acme2",
        "IGAAtest-token-of-acme2",
    ));
    relay.simulator.put_agent(AGENT, AgentRule::default());
    let mut body = connect_body();
    body["instagramAccountId"] = json!(second);
    body["accessToken"] = json!("IGAAtest-token-of-acme2");
    let connected = relay.rest.post("connect", body).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    let id = connected.json["connectionId"].as_str().context("id")?;
    for (method, path, body) in [
        ("GET", "status", None),
        ("POST", "send", Some(json!({"instagramUserId": USER, "message": "x"}))),
        ("PATCH", "settings", Some(json!({"typing": false}))),
        ("POST", "disconnect", None),
    ] {
        let body = body.map(|body| body.to_string().into_bytes());
        let answer = relay.rest.request(method, &agent_path(path), body, &[]).await?;
        assert_eq!(
            (answer.status, answer.json["connections"].as_array().map(Vec::len)),
            (409, Some(2)),
            "{path}"
        );
    }
    assert_eq!(relay.rest.get(&format!("status?connectionId={id}")).await?.json["username"], json!("acme2"));
    relay.simulator.say(ACCOUNT, USER, "to the first");
    relay.simulator.say(second, USER, "to the second");
    relay.settled().await?;
    let texts = async |query: String| -> Result<Vec<String>> {
        let answer = relay.rest.get(&query).await?;
        let items = answer.json["items"].as_array().cloned().with_context(|| answer.text.clone())?;
        Ok(items.iter().filter_map(|item| item["text"].as_str().map(str::to_owned)).collect())
    };
    assert_eq!(texts("messages?direction=inbound".into()).await?.len(), 2);
    assert_eq!(texts(format!("messages?direction=inbound&connectionId={id}")).await?, ["to the second"]);
    // The pause of one does not affect the other.
    assert_eq!(change(&relay, json!({"connectionId": id, "botPaused": true})).await?.status, 200);
    relay.simulator.say(second, USER, "nobody");
    relay.simulator.say(ACCOUNT, USER, "again");
    let replies = relay
        .simulator
        .wait_for("a reply", Duration::from_secs(20), |record| record.sends_to(ACCOUNT, USER).count() == 2);
    replies.await.map_err(|err| anyhow::anyhow!("{err}"))?;
    assert_eq!(relay.simulator.record(|record| record.sends_to(second, USER).count()), 1);
    relay.end().await
}

async fn two_agents_of_a_subaccount_are_separate(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let (second, token) = ("17841400000000002", "IGAAtest-token-of-acme2");
    relay.simulator.put_account(dmrelay_simulator::AccountSpec::new(second, "acme2", token));
    relay.simulator.put_agent("agent_second", AgentRule::default());
    let base = "/api/database/acme/chat-agents/agent_second/instagram";
    let mut body = connect_body();
    body["instagramAccountId"] = json!(second);
    body["accessToken"] = json!(token);
    // An account is answered by one agent.
    let mut taken = connect_body();
    taken["webhookVerificationToken"] = json!("another-token");
    let connect = async |body: &Value| {
        relay.rest.request("POST", &format!("{base}/connect"), Some(body.to_string().into_bytes()), &[]).await
    };
    let refused = connect(&taken).await?;
    assert_eq!((refused.status, &refused.json["agentId"]), (409, &json!(AGENT)), "{}", refused.text);
    assert_eq!(connect(&body).await?.status, 201);
    relay.simulator.say(ACCOUNT, USER, "to the first");
    relay.simulator.say(second, USER, "to the second");
    relay.settled().await?;
    let texts = async |path: &str| -> Result<Vec<String>> {
        let answer = relay.rest.request("GET", path, None, &[]).await?;
        let items = answer.json["items"].as_array().cloned().with_context(|| answer.text.clone())?;
        Ok(items.iter().filter_map(|item| item["text"].as_str().map(str::to_owned)).collect())
    };
    assert_eq!(texts(&agent_path("messages?direction=inbound")).await?, ["to the first"]);
    assert_eq!(texts(&format!("{base}/messages?direction=inbound")).await?, ["to the second"]);
    // Chats and activities are separate; the subaccount sees all of them.
    let chat = relay.rest.get("chats").await?.json["items"][0]["chatId"].as_str().context("chat")?.to_owned();
    let other = relay.rest.request("GET", &format!("{base}/chats/{chat}"), None, &[]).await?;
    assert_eq!(other.status, 404, "{}", other.text);
    let count = async |path: &str| -> Result<u64> {
        let answer = relay.rest.request("GET", path, None, &[]).await?;
        answer.json["total"].as_u64().with_context(|| answer.text.clone())
    };
    let (first, second) =
        (count(&agent_path("activities")).await?, count(&format!("{base}/activities")).await?);
    // Beside those, that each agent became the subaccount's.
    assert_eq!(count("/api/database/acme/activities").await?, first + second + 2);
    assert_eq!((first, second), (5, 5));
    relay.end().await
}

async fn an_idempotency_key_belongs_to_one_agent_and_outlives_a_disconnect(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    // The same key and body at another agent is another call.
    let headers = [("idempotency-key", "k")];
    let pause = json!({"botPaused": true}).to_string().into_bytes();
    let first = relay.rest.request("PATCH", &agent_path("settings"), Some(pause.clone()), &headers).await?;
    assert_eq!(first.status, 200, "{}", first.text);
    let other = "/api/database/acme/chat-agents/agent_other/instagram/settings";
    let second = relay.rest.request("PATCH", other, Some(pause), &headers).await?;
    assert_eq!(
        (second.status, &second.json["type"]),
        (422, &json!("urn:dmrelay:problem:idempotency-key-reused"))
    );
    // A repeated send gets the first response, whatever happened to the account.
    let send = json!({"instagramUserId": USER, "message": "Ada here"}).to_string().into_bytes();
    let headers = [("idempotency-key", "s")];
    let sent = relay.rest.request("POST", &agent_path("send"), Some(send.clone()), &headers).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    relay.replies(USER, 2).await?;
    relay.rest.post("disconnect", json!({})).await?;
    let again = relay.rest.request("POST", &agent_path("send"), Some(send), &headers).await?;
    assert_eq!((again.status, &again.json["messageId"]), (202, &sent.json["messageId"]), "{}", again.text);
    assert_eq!(relay.sent(USER).len(), 2);
    relay.end().await
}
