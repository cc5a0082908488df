//! A human agent writes through the REST API.

use anyhow::Result;
use dmrelay_simulator::{Action, AgentRule};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, agent_path};
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    a_human_agents_message_is_sent_and_silences_the_agent,
    the_same_idempotency_key_sends_once,
    richer_messages_are_sent_as_they_are,
    unanswerable_recipients_are_rejected_at_once,
    an_answer_in_progress_is_not_sent_after_a_human_writes,
);

const USER: &str = "200000000000001";

async fn greeted(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    Ok(relay)
}

async fn a_human_agents_message_is_sent_and_silences_the_agent(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let answer = relay.rest.post("send", json!({"to": USER, "message": "Ada here"})).await?;
    assert_eq!((answer.status, &answer.json["status"]), (202, &json!("queued")), "{}", answer.text);
    assert_eq!(relay.replies(USER, 2).await?[1], "Ada here");
    relay.simulator.say(ACCOUNT, USER, "thanks");
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    let messages = relay.messages(USER).await?;
    let sent = messages.iter().find(|m| m["messageId"] == answer.json["messageId"]);
    assert_eq!(sent.map(|m| (&m["author"], &m["status"])), Some((&json!("human"), &json!("sent"))));
    relay.end().await
}

async fn the_same_idempotency_key_sends_once(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let send = |text: &str| {
        let body = json!({"to": USER, "message": text}).to_string().into_bytes();
        let rest = relay.rest.clone();
        async move { rest.request("POST", &agent_path("send"), Some(body), &[("idempotency-key", "k-1")]).await }
    };
    let (first, second) = tokio::try_join!(send("once"), send("once"))?;
    let third = send("once").await?;
    assert_eq!(
        [first.status, second.status, third.status],
        [202, 202, 202],
        "{} {}",
        first.text,
        second.text
    );
    assert_eq!(first.json["messageId"], second.json["messageId"]);
    assert_eq!(first.json["messageId"], third.json["messageId"]);
    assert_eq!(third.header("idempotency-replayed"), "true");
    let other = send("another").await?;
    assert_eq!(
        (other.status, &other.json["type"]),
        (422, &json!("urn:dmrelay:problem:idempotency-key-reused"))
    );
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "once"]);
    relay.end().await
}

async fn richer_messages_are_sent_as_they_are(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let quick = json!({"text": "Pick", "quick_replies": [{"content_type": "text", "title": "Red", "payload": "RED"}]});
    let image = json!({"attachment": {"type": "image", "payload": {"url": "https://example.com/a.jpg"}}});
    for message in [&quick, &image] {
        assert_eq!(relay.rest.post("send", json!({"to": USER, "message": message})).await?.status, 202);
    }
    relay.replies(USER, 3).await?;
    let sent = relay
        .simulator
        .record(|record| record.sends.iter().map(|sent| sent.message.clone()).collect::<Vec<_>>());
    assert_eq!(&sent[1..], [quick, image]);
    relay.end().await
}

async fn unanswerable_recipients_are_rejected_at_once(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let stranger = relay.rest.post("send", json!({"to": "299", "message": "hi"})).await?;
    assert_eq!(
        (stranger.status, &stranger.json["type"]),
        (404, &json!("urn:dmrelay:problem:unknown-recipient"))
    );
    relay.store.connection().execute_unprepared("UPDATE chats SET window_expires_at = 1").await?;
    let late = relay.rest.post("send", json!({"to": USER, "message": "hi"})).await?;
    assert_eq!((late.status, &late.json["type"]), (409, &json!("urn:dmrelay:problem:window-closed")));
    assert_eq!(relay.sent(USER).len(), 1);
    relay.end().await
}

async fn an_answer_in_progress_is_not_sent_after_a_human_writes(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 800, ..AgentRule::default() });
    relay.simulator.act(dmrelay_simulator::Act::new(ACCOUNT, USER, Action::text("and now?")));
    relay
        .simulator
        .wait_for("the question", Duration::from_secs(10), |record| record.calls_of("retell.completion") == 2)
        .await?;
    assert_eq!(relay.rest.post("send", json!({"to": USER, "message": "I am here"})).await?.status, 202);
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "I am here"]);
    relay.end().await
}
