//! Dead letters are shown, replayed and discarded.

use anyhow::{Context, Result};
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_dead_letter_is_replayed_once_and_logged,
    a_dead_letter_is_discarded,
    nothing_is_replayed_after_a_takeover,
    many_are_replayed_page_by_page,
    an_event_that_cannot_be_ingested_becomes_a_dead_letter,
);

const USER: &str = "200000000000001";

/// A relay whose agent has rejected a question permanently.
async fn refused(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
    relay.simulator.say(ACCOUNT, USER, "hello");
    dead_letters(&relay, 1).await?;
    relay.settled().await?;
    Ok(relay)
}

async fn dead_letters(relay: &Relay, count: usize) -> Result<Vec<Value>> {
    wait::until("dead letters", Duration::from_secs(20), async || {
        let answer = relay.rest.get("dead-letters").await?;
        let items = answer.json["items"].as_array().cloned().with_context(|| answer.text.clone())?;
        Ok((items.len() == count).then_some(items))
    })
    .await
}

async fn a_dead_letter_is_replayed_once_and_logged(backend: Backend) -> Result<()> {
    let relay = refused(backend).await?;
    let letter = dead_letters(&relay, 1).await?.remove(0);
    assert_eq!(
        (&letter["kind"], &letter["class"], &letter["state"]),
        (&json!("turn"), &json!("invalid"), &json!("open"))
    );
    assert!(letter["error"].as_str().is_some_and(|why| !why.is_empty()), "{letter}");
    let id = letter["deadLetterId"].as_str().context("id")?;
    let path = format!("dead-letters/{id}/replay");
    let (first, second) =
        tokio::try_join!(relay.rest.post(&path, json!({})), relay.rest.post(&path, json!({})))?;
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", first.text, second.text);
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!(relay.sent(USER).len(), 1);
    dead_letters(&relay, 0).await?;
    let replayed = relay.rest.get("dead-letters?state=replayed").await?;
    assert_eq!(replayed.json["items"][0]["closedBy"], json!("bootstrap key"));
    let log = relay.rest.get("activities?kind=DEAD_LETTER_REPLAYED").await?;
    assert_eq!(
        (&log.json["total"], &log.json["items"][0]["subject"]),
        (&json!(1), &json!(id)),
        "{}",
        log.text
    );
    relay.end().await
}

async fn a_dead_letter_is_discarded(backend: Backend) -> Result<()> {
    let relay = refused(backend).await?;
    let letter = dead_letters(&relay, 1).await?.remove(0);
    let id = letter["deadLetterId"].as_str().context("id")?;
    let some = async |body: Value| relay.rest.post("dead-letters/replay", body).await;
    assert_eq!(some(json!({"ids": []})).await?.status, 422);
    assert_eq!(some(json!({"ids": [id], "class": "gone"})).await?.status, 422);
    assert_eq!(some(json!({"class": "no such"})).await?.status, 422);
    let none = some(json!({"class": "gone"})).await?;
    assert_eq!(none.json, json!({"replayed": 0, "refused": [], "nextCursor": null}));
    let discarded = relay.rest.post(&format!("dead-letters/{id}/discard"), json!({})).await?;
    assert_eq!((discarded.status, &discarded.json["state"]), (200, &json!("discarded")));
    let late = some(json!({"ids": [id, "01930000-0000-7000-8000-000000000000"]})).await?;
    assert_eq!((&late.json["replayed"], late.json["refused"].as_array().map(Vec::len)), (&json!(0), Some(2)));
    assert_eq!(relay.rest.post(&format!("dead-letters/{id}/discard"), json!({})).await?.status, 409);
    relay.settled().await?;
    assert!(relay.sent(USER).is_empty());
    relay.end().await
}

async fn nothing_is_replayed_after_a_takeover(backend: Backend) -> Result<()> {
    let relay = refused(backend).await?;
    let letter = dead_letters(&relay, 1).await?.remove(0);
    relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?;
    relay.replies(USER, 1).await?;
    let chat = letter["chatId"].as_str().context("chat")?;
    assert_eq!(relay.rest.post(&format!("chats/{chat}/release"), json!({})).await?.status, 200);
    let id = letter["deadLetterId"].as_str().context("id")?;
    let answer = relay.rest.post(&format!("dead-letters/{id}/replay"), json!({})).await?;
    assert_eq!(
        (answer.status, &answer.json["type"]),
        (409, &json!("urn:dmrelay:problem:not-replayable")),
        "{}",
        answer.text
    );
    assert!(
        answer.json["detail"].as_str().is_some_and(|why| why.contains("a human agent")),
        "{}",
        answer.text
    );
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Ada here"]);
    relay.end().await
}

async fn many_are_replayed_page_by_page(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400).times(3));
    for user in 1..=3 {
        relay.simulator.say(ACCOUNT, &format!("20000000000000{user}"), "hello");
    }
    let letters = dead_letters(&relay, 3).await?;
    // The newest cannot be replayed: a human has the chat. It does not block the others.
    let chat = letters[0]["chatId"].as_str().context("chat")?;
    relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    let mut body = json!({"kind": "turn", "limit": 1});
    let (mut replayed, mut refused) = (0, 0);
    for _ in 0..3 {
        let answer = relay.rest.post("dead-letters/replay", body.clone()).await?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        replayed += answer.json["replayed"].as_u64().context("replayed")?;
        refused += answer.json["refused"].as_array().map_or(0, Vec::len);
        let Some(next) = answer.json["nextCursor"].as_str() else { break };
        body["cursor"] = json!(next);
    }
    assert_eq!((replayed, refused), (2, 1));
    relay.end().await
}

/// An event the database rejects is retried and then given up, and blocks nothing else.
async fn an_event_that_cannot_be_ingested_becomes_a_dead_letter(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.ingest_attempts = 3).await?;
    let refuse = "CREATE UNIQUE INDEX poison ON messages (text) WHERE text = 'poison'";
    relay.store.connection().execute_unprepared(refuse).await?;
    relay.simulator.say(ACCOUNT, USER, "poison");
    relay.replies(USER, 1).await?;
    relay.simulator.say(ACCOUNT, USER, "poison");
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 2).await?, ["Answer to: poison", "Answer to: hello"]);
    let letter = dead_letters(&relay, 1).await?.remove(0);
    assert_eq!((&letter["kind"], &letter["attempts"]), (&json!("event"), &json!(3)), "{letter}");
    relay.end().await
}
