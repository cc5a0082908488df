//! Live events reach all listeners, whichever process they are connected to.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, agent_path};
use dmrelay_tests::stream::Stream;
use dmrelay_tests::wait;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

on_both_backends!(
    events_are_delivered_live,
    a_client_that_reconnects_misses_nothing,
    streams_end_and_are_limited_in_number,
    streams_are_shared_among_keys,
    a_stream_ends_with_its_key_or_token,
    events_written_out_of_order_are_delivered,
    events_carry_states,
    a_given_up_question_is_announced,
    a_question_that_cannot_be_asked_names_its_message,
);

const USER: &str = "200000000000001";

async fn events_are_delivered_live(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut stream = Stream::open(&relay.rest, &agent_path("events"), None).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    let received = stream.next("message.received").await?;
    let sent = stream.next("message.sent").await?;
    assert_eq!((received["actor"].as_str(), sent["actor"].as_str()), (Some("user"), Some("agent")));
    assert_eq!(received["chatId"], sent["chatId"]);
    // It contains ids to find the message, never its text.
    let messages = relay.messages(USER).await?;
    assert_eq!(
        (&messages[0]["messageId"], &messages[1]["messageId"]),
        (&received["messageId"], &sent["messageId"])
    );
    assert!(!stream.text().contains("hello"), "{}", stream.text());
    let chat = sent["chatId"].as_str().context("chat")?;
    relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    let mode = stream.next("chat.mode").await?;
    assert_eq!(mode["chatId"], json!(chat));
    assert!(mode["mode"]["resumeAt"].is_string(), "{mode}");
    let held = relay.rest.post(&format!("chats/{chat}/takeover"), json!({"untilReleased": true})).await?;
    assert_eq!((&held.json["mode"], &held.json["resumeAt"]), (&json!("human"), &json!(null)));
    // Taking it over as usual does not end that.
    let again = relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    assert_eq!(again.json["resumeAt"], json!(null));
    let both = json!({"untilReleased": true, "hours": 2});
    let refused = relay.rest.post(&format!("chats/{chat}/takeover"), both).await?;
    assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!("/hours")));
    relay.rest.post("disconnect", json!({})).await?;
    let state = stream.next("connection.state").await?;
    assert_eq!(state["details"]["instagramAccountId"], json!(ACCOUNT));
    // The status of a connection is no message's.
    assert_eq!((&state["status"], &state["failureClass"]), (&json!(null), &json!(null)));
    relay.end().await
}

async fn a_client_that_reconnects_misses_nothing(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let path = agent_path("events");
    let mut stream = Stream::open(&relay.rest, &path, None).await?;
    relay.simulator.say(ACCOUNT, USER, "one");
    let last = stream.next("message.sent").await?["id"].as_str().context("id")?.to_owned();
    drop(stream);
    for number in 0..20 {
        relay.simulator.say(ACCOUNT, &format!("30000000000000{number:02}"), "while you were away");
    }
    relay.settled().await?;
    let mut stream = Stream::open(&relay.rest, &path, Some(&last)).await?;
    let mut missed = BTreeSet::new();
    while missed.len() < 20 {
        let event = stream.next("message.sent").await?;
        assert_ne!(event["id"], json!(last), "the event that was seen came again");
        missed.insert(event["chatId"].to_string());
    }
    // Then it continues with new events.
    relay.simulator.say(ACCOUNT, "400000000000001", "now");
    relay.replies("400000000000001", 1).await?;
    let chat = relay.messages("400000000000001").await?[0]["chatId"].clone();
    while stream.next("message.sent").await?["chatId"] != chat {}
    let odd = relay.rest.request("GET", &path, None, &[("last-event-id", "zzz")]).await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["parameter"]), (422, &json!("Last-Event-ID")));
    relay.end().await
}

async fn streams_end_and_are_limited_in_number(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.event_streams = 1;
        settings.limits.event_stream_time = Duration::from_secs(2);
    })
    .await?;
    let path = agent_path("events");
    let stream = Stream::open(&relay.rest, &path, None).await?;
    let full = relay.rest.request("GET", &path, None, &[]).await?;
    assert_eq!((full.status, &full.json["type"]), (503, &json!("urn:dmrelay:problem:too-many-streams")));
    stream.ended().await?;
    let mut next = Stream::open(&relay.rest, &path, None).await?;
    // A process that shuts down does not wait for listeners.
    relay.simulator.say(ACCOUNT, USER, "hello");
    next.next("message.received").await?;
    relay.end().await
}

/// One key does not take its subaccount's streams from the others.
async fn streams_are_shared_among_keys(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.limits.event_streams_per_principal = 2).await?;
    let body = json!({"name": "console", "role": "viewer"}).to_string().into_bytes();
    let created = relay.rest.request("POST", "/api/database/acme/api-keys", Some(body), &[]).await?.json;
    let other = relay.rest.with_key(created["key"].as_str());
    let path = agent_path("events");
    let first = Stream::open(&relay.rest, &path, None).await?;
    let _second = Stream::open(&relay.rest, &path, None).await?;
    let full = relay.rest.request("GET", &path, None, &[]).await?;
    assert_eq!((full.status, &full.json["type"]), (503, &json!("urn:dmrelay:problem:too-many-streams")));
    let _theirs = Stream::open(&other, &path, None).await?;
    // Its place is given back.
    drop(first);
    wait::until("a place", Duration::from_secs(10), async || {
        Ok(Stream::open(&relay.rest, &path, None).await.ok())
    })
    .await?;
    relay.end().await
}

async fn a_stream_ends_with_its_key_or_token(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.event_credential_interval = Duration::from_millis(200);
        settings.limits.event_stream_time = Duration::from_mins(5);
        settings.jwt.jwt_leeway = Duration::ZERO;
        dmrelay_tests::token::accept(&mut settings.jwt);
    })
    .await?;
    let keys = "/api/database/acme/api-keys";
    let body = json!({"name": "console", "role": "viewer"}).to_string().into_bytes();
    let created = relay.rest.request("POST", keys, Some(body), &[]).await?.json;
    let holder = relay.rest.with_key(created["key"].as_str());
    let path = agent_path("events");
    let mut stream = Stream::open(&holder, &path, None).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    stream.next("message.sent").await?;
    let id = created["keyId"].as_str().context("keyId")?;
    let revoked = relay.rest.request("DELETE", &format!("{keys}/{id}"), None, &[]).await?;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
    stream.ended().await?;
    let mut claims = dmrelay_tests::token::claims(&json!({"role": "viewer", "subaccounts": ["acme"]}));
    claims["exp"] = json!(relay.store.now().await? / 1_000 + 2);
    let holder = relay.rest.with_key(Some(&dmrelay_tests::token::sign(&claims)));
    Stream::open(&holder, &path, None).await?.ended().await?;
    assert_eq!(holder.get("status").await?.status, 401);
    relay.end().await
}

/// A long transaction commits after one that began later: its entry, with the older id, is delivered too.
async fn events_written_out_of_order_are_delivered(backend: Backend) -> Result<()> {
    use dmrelay_store::{Activity, ActivityKind};
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut stream = Stream::open(&relay.rest, &agent_path("events"), None).await?;
    let connection = relay.store.snapshot().await?.pop().context("no connection")?;
    let activity = |actor: &str| Activity::of_connection(&connection, ActivityKind::SettingsChanged, actor);
    let now = relay.store.now().await?;
    let write = async |actor: &str, at: i64| -> Result<()> {
        let tx = relay.store.begin().await?;
        tx.record_at(&activity(actor), at).await?;
        Ok(tx.commit().await?)
    };
    write("later", now).await?;
    assert_eq!(stream.next("connection.state").await?["actor"], json!("later"));
    write("earlier", now - 2_000).await?;
    assert_eq!(stream.next("connection.state").await?["actor"], json!("earlier"));
    relay.end().await
}

/// What happens to a message, from the question to its end, in the states that each event carries.
async fn events_carry_states(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let everything = format!("{}?include=message,chat", agent_path("events"));
    let mut stream = Stream::open(&relay.rest, &everything, None).await?;
    let mid = relay.simulator.say(ACCOUNT, USER, "hello");
    let received = stream.next("message.received").await?;
    assert_eq!((&received["status"], &received["message"]["text"]), (&json!("received"), &json!("hello")));
    assert_eq!(
        (&received["chat"]["instagramUserId"], &received["chat"]["mode"]),
        (&json!(USER), &json!("bot"))
    );
    let started = stream.next("turn.started").await?;
    let ended = stream.next("turn.ended").await?;
    assert_eq!((&started["turnId"], &ended["outcome"]), (&ended["turnId"], &json!("answered")));
    let sent = stream.next("message.sent").await?;
    assert_eq!((&sent["status"], &sent["message"]["author"]), (&json!("sent"), &json!("agent")));
    assert_eq!(sent["message"]["turnId"], ended["turnId"]);

    let reply = sent["message"]["mid"].as_str().context("mid")?.to_owned();
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Read { mid: reply.clone() }));
    assert_eq!(stream.next("message.read").await?["messageId"], sent["messageId"]);
    let (reaction, emoji) = (Some("love".to_owned()), Some("❤".to_owned()));
    let reaction = Action::Reaction { mid: reply, reaction, emoji, unreact: false };
    relay.simulator.act(Act::new(ACCOUNT, USER, reaction));
    let reaction = stream.next("message.reaction").await?;
    assert_eq!(reaction["message"]["metadata"]["reaction"], json!("❤"));
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsend { mid }));
    let unsent = stream.next("message.unsent").await?;
    assert_eq!(unsent["messageId"], received["messageId"]);
    assert_eq!((&unsent["message"]["kind"], &unsent["message"]["text"]), (&json!("unsent"), &json!(null)));

    let chat = sent["chatId"].as_str().context("chat")?;
    relay.rest.post("send", json!({"instagramUserId": USER, "message": {"text": "Ada here"}})).await?;
    let mode = stream.next("chat.mode").await?;
    assert_eq!((&mode["mode"]["mode"], &mode["mode"]["reason"]), (&json!("human"), &json!("send")));
    assert!(mode["mode"]["resumeAt"].is_string(), "{mode}");
    let queued = stream.next("message.queued").await?;
    assert_eq!(queued["status"], json!("queued"));
    assert_eq!(stream.next("message.sent").await?["messageId"], queued["messageId"]);
    relay.rest.post(&format!("chats/{chat}/release"), json!({})).await?;
    assert_eq!(stream.next("chat.mode").await?["mode"]["mode"], json!("bot"));
    relay.rest.post("disconnect", json!({})).await?;
    assert_eq!(stream.next("connection.state").await?["connection"]["status"], json!("disconnected"));
    let odd = relay.rest.get("events?include=message,everything").await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["parameter"]), (422, &json!("include")));
    relay.end().await
}

/// A question that is given up, its dead letter, and what becomes of both.
async fn a_given_up_question_is_announced(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut stream = Stream::open(&relay.rest, "/api/database/acme/events", None).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let opened = stream.next("dead_letter.opened").await?;
    let ended = stream.next("turn.ended").await?;
    assert_eq!((&ended["outcome"], &ended["failureClass"]), (&json!("failed"), &json!("invalid")));
    assert_eq!((&opened["details"]["kind"], &opened["chatId"]), (&json!("turn"), &ended["chatId"]));
    let letter = opened["deadLetterId"].as_str().context("letter")?;
    relay.rest.post(&format!("dead-letters/{letter}/replay"), json!({})).await?;
    let closed = stream.next("dead_letter.closed").await?;
    assert_eq!((&closed["deadLetterId"], &closed["outcome"]), (&json!(letter), &json!("replayed")));
    assert_eq!(stream.next("turn.ended").await?["outcome"], json!("answered"));
    relay.end().await
}

/// No chat of the agent can be opened: no turn begins, and the events of the failure carry the message.
async fn a_question_that_cannot_be_asked_names_its_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let everything = format!("{}?include=message,chat", agent_path("events"));
    let mut stream = Stream::open(&relay.rest, &everything, None).await?;
    relay.simulator.add_fault(Fault::retell(Operation::CreateChat, FaultMode::Before).status(422));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let received = stream.next("message.received").await?;
    let opened = stream.next("dead_letter.opened").await?;
    let class = opened["failureClass"].as_str().context("no class")?.to_owned();
    assert_eq!(opened["messageId"], received["messageId"], "{opened}");
    let error = &opened["message"]["error"];
    assert!(error["class"] == class && error["message"].is_string(), "{opened}");
    // The time line of the conversation tells it, too.
    let chat = opened["chatId"].as_str().context("chat")?;
    let detail = relay.rest.get(&format!("chats/{chat}")).await?;
    let timeline = detail.json["timeline"].as_array().context("no timeline")?;
    let told = timeline.iter().find(|entry| entry["event"] == "not_asked").context("nothing tells it")?;
    assert_eq!(told["detail"], json!(class), "{told}");
    let letter = opened["deadLetterId"].as_str().context("letter")?;
    relay.simulator.clear_faults(None);
    let replayed = relay.rest.post(&format!("dead-letters/{letter}/replay"), json!({})).await?;
    assert_eq!(replayed.status, 200, "{}", replayed.text);
    let closed = stream.next("dead_letter.closed").await?;
    assert_eq!((&closed["messageId"], &closed["outcome"]), (&received["messageId"], &json!("replayed")));
    assert!(closed["message"]["messageId"] == received["messageId"], "{closed}");
    relay.end().await
}
