//! Chats, messages and their timeline, as a frontend reads them.

use anyhow::{Context, Result};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer};
use serde_json::{Value, json};
use std::collections::BTreeSet;

on_both_backends!(
    chats_are_listed_searched_and_paged,
    a_chat_shows_what_happened_in_it,
    pages_are_stable_while_messages_arrive,
    messages_are_found_by_text_time_and_author,
);

fn items(answer: &Answer) -> Result<Vec<Value>> {
    answer.json["items"].as_array().cloned().with_context(|| answer.text.clone())
}

async fn with_chats(backend: Backend, count: u32) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for number in 0..count {
        let user = format!("2000000000000{number:02}");
        relay.simulator.say(ACCOUNT, &user, format!("hello from {number}"));
        relay.replies(&user, 1).await?;
    }
    relay.settled().await?;
    Ok(relay)
}

async fn chats_are_listed_searched_and_paged(backend: Backend) -> Result<()> {
    let relay = with_chats(backend, 5).await?;
    let all = relay.rest.get("chats").await?;
    let users: Vec<String> =
        items(&all)?.iter().filter_map(|chat| chat["instagramUserId"].as_str().map(str::to_owned)).collect();
    assert_eq!(
        users,
        ["200000000000004", "200000000000003", "200000000000002", "200000000000001", "200000000000000"]
    );
    assert_eq!(
        (&all.json["total"], &all.json["totalIsExact"], &all.json["nextCursor"]),
        (&json!(5), &json!(true), &Value::Null)
    );
    let first = &items(&all)?[0];
    assert_eq!(
        (&first["mode"], &first["window"], &first["metadata"]["channel"]),
        (&json!("bot"), &json!("open"), &json!("instagram"))
    );
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = relay.rest.get(&format!("chats?limit=2{cursor}")).await?;
        seen.extend(
            items(&page)?.iter().filter_map(|chat| chat["instagramUserId"].as_str().map(str::to_owned)),
        );
        let Some(next) = page.json["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, users);
    let skipped = relay.rest.get("chats?limit=2&skip=4").await?;
    assert_eq!(items(&skipped)?.len(), 1);
    assert_eq!(items(&relay.rest.get("chats?instagramUserId=200000000000003").await?)?.len(), 1);
    assert_eq!(items(&relay.rest.get("chats?q=0000003").await?)?.len(), 1);
    let chat = first["chatId"].as_str().context("id")?;
    assert_eq!(relay.rest.post(&format!("chats/{chat}/takeover"), json!({"hours": 2})).await?.status, 200);
    assert_eq!(items(&relay.rest.get("chats?mode=human").await?)?[0]["chatId"], json!(chat));
    assert_eq!(items(&relay.rest.get("chats?mode=bot").await?)?.len(), 4);
    relay.end().await
}

async fn a_chat_shows_what_happened_in_it(backend: Backend) -> Result<()> {
    let relay = with_chats(backend, 1).await?;
    let chat = items(&relay.rest.get("chats").await?)?[0]["chatId"].as_str().context("id")?.to_owned();
    relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    relay.rest.post(&format!("chats/{chat}/release"), json!({})).await?;
    dmrelay_tests::wait::until("the echo", std::time::Duration::from_secs(10), async || {
        let detail = relay.rest.get(&format!("chats/{chat}")).await?;
        Ok(detail.text.contains("echo_received").then_some(()))
    })
    .await?;
    let detail = relay.rest.get(&format!("chats/{chat}")).await?;
    let body = &detail.json;
    assert_eq!(body["counts"], json!({"received": 1, "sent": 1, "failed": 0, "waiting": 0, "turns": 1}));
    assert_eq!(body["messages"]["items"].as_array().map(Vec::len), Some(2), "{}", detail.text);
    let turn = &body["turns"][0];
    assert_eq!((&turn["state"], &turn["attempts"]), (&json!("answered"), &json!(1)));
    assert!(turn["latencyMs"].as_i64().is_some_and(|millis| millis >= 0), "{turn}");
    let line = body["timeline"].as_array().context("no time line")?;
    let mut events: Vec<&str> = line.iter().filter_map(|entry| entry["event"].as_str()).collect();
    // The echo may arrive before the send's response.
    let echo = events.iter().position(|event| *event == "echo_received").context("no echo")?;
    events.remove(echo);
    assert_eq!(
        events,
        [
            "webhook_received",
            "stored",
            "agent_asked",
            "agent_answered",
            "queued",
            "send_started",
            "sent",
            "bot_paused",
            "bot_resumed"
        ]
    );
    let since: Vec<i64> = line.iter().filter_map(|entry| entry["sinceWebhookMs"].as_i64()).collect();
    assert!(since.is_sorted() && since[0] == 0 && since.len() >= 6, "{since:?}");
    assert_eq!(relay.rest.get("chats/01930000-0000-7000-8000-000000000000").await?.status, 404);
    relay.end().await
}

async fn pages_are_stable_while_messages_arrive(backend: Backend) -> Result<()> {
    let relay = with_chats(backend, 6).await?;
    let before: BTreeSet<String> = items(&relay.rest.get("messages?limit=200").await?)?
        .iter()
        .map(|m| m["messageId"].to_string())
        .collect();
    assert_eq!(before.len(), 12);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = relay.rest.get(&format!("messages?limit=5{cursor}")).await?;
        seen.extend(items(&page)?.iter().map(|message| message["messageId"].to_string()));
        let Some(next) = page.json["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        relay.simulator.say(ACCOUNT, "200000000000000", "and another one");
        let count = relay.sent("200000000000000").len() + 1;
        relay.replies("200000000000000", count).await?;
    }
    assert_eq!(seen.len(), 12, "something came twice or is missing");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), before);
    relay.end().await
}

async fn messages_are_found_by_text_time_and_author(backend: Backend) -> Result<()> {
    let relay = with_chats(backend, 3).await?;
    let found = async |query: &str| items(&relay.rest.get(&format!("messages?{query}")).await?);
    let texts = |items: &[Value]| {
        items.iter().filter_map(|m| m["text"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(texts(&found("q=HELLO%20FROM%201&direction=inbound").await?), ["hello from 1"]);
    // Pattern characters are taken literally.
    assert_eq!(found("q=h%25o").await?.len(), 0);
    assert_eq!(found("q=hell_").await?.len(), 0);
    assert_eq!(found("author=agent").await?.len(), 3);
    assert_eq!(found("author=human").await?.len(), 0);
    assert_eq!(found("until=2020-01-01T00:00:00Z").await?.len(), 0);
    assert_eq!(found("since=2020-01-01T00:00:00Z").await?.len(), 6);
    assert_eq!(found("instagramUserId=200000000000002&status=sent").await?.len(), 1);
    relay.end().await
}
