//! Messages that no webhook brought are found in Meta's copy of the conversations, and answered while that is worth it.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, Fault, FaultMode, Operation, ReleaseOrder};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, connect_body};
use dmrelay_tests::settings::Settings;
use dmrelay_tests::wait::until;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_missed_message_is_answered_and_its_late_webhook_is_a_duplicate,
    what_is_old_or_answered_is_only_stored,
    what_people_wrote_in_the_app_silences_the_agent,
    after_a_lost_subscription_what_came_meanwhile_is_read,
    a_conversation_that_meta_cannot_show_keeps_no_other_from_being_read,
    a_message_before_the_last_is_found_within_the_hour,
    a_former_connections_gap_is_not_read,
    the_history_is_read_on_request,
    an_erased_customer_stays_erased,
);

const WITHIN: Duration = Duration::from_secs(20);
const HOUR_MS: i64 = 3_600_000;
const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";

fn often(settings: &mut Settings) {
    settings.worker.backfill_interval = Duration::from_millis(200);
}

fn withheld(relay: &Relay, user: &str, action: Action, hours_ago: i64) {
    let at = relay.simulator.now_ms() - hours_ago * HOUR_MS;
    relay.simulator.act(Act::new(ACCOUNT, user, action).at(at).withheld());
}

/// The texts and reasons of the messages of a customer, oldest first.
async fn stored(relay: &Relay, user: &str) -> Result<Vec<(String, Value)>> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = relay.messages(user).await?;
    Ok(all.iter().map(|one| (word(&one["text"]), one["reason"].clone())).collect())
}

async fn are_stored(relay: &Relay, user: &str, count: usize) -> Result<Vec<(String, Value)>> {
    let all = async || {
        let all = stored(relay, user).await?;
        Ok((all.len() == count).then_some(all))
    };
    until(&format!("{count} messages"), WITHIN, all).await
}

async fn backfill(relay: &Relay) -> Result<Value> {
    Ok(relay.rest.get("status").await?.json["backfill"].clone())
}

/// Looked at once more, after everything so far.
async fn looked(relay: &Relay) -> Result<()> {
    let before = relay.store.now().await?;
    let connection = relay.store.snapshot().await?[0].id;
    until("another look", WITHIN, async || {
        let row = relay.store.backfill(connection).await?.context("no row")?;
        Ok((row.seen_until > before).then_some(()))
    })
    .await
}

async fn a_missed_message_is_answered_and_its_late_webhook_is_a_duplicate(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    relay.simulator.say(ACCOUNT, OTHER, "with a webhook");
    relay.replies(OTHER, 1).await?;
    relay.simulator.hold_webhooks();
    let said = relay.simulator.say(ACCOUNT, USER, "lost?");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: lost?"]);
    relay.simulator.release_webhooks(10, ReleaseOrder::Sent);
    relay.settled().await?;
    looked(&relay).await?;
    assert_eq!(relay.sent(USER).len(), 1);
    assert_eq!(stored(&relay, USER).await?.len(), 2);
    assert!(!said.is_empty());
    let told = relay.rest.get("activities?kind=INSTAGRAM_MESSAGES_BACKFILLED").await?.json;
    assert_eq!((&told["total"], &told["items"][0]["details"]["found"]), (&json!(1), &json!(1)), "{told}");
    let status = backfill(&relay).await?;
    assert!(status["lastFoundAt"].is_string() && status["isRunning"] == false, "{status}");
    let metrics = String::from_utf8(relay.metrics.render())?;
    assert!(metrics.contains("dmrelay_backfill_messages_total{reason=\"beat\"} 1"), "{metrics}");
    relay.end().await
}

async fn what_is_old_or_answered_is_only_stored(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    // It was connected long ago, and read just now.
    let now = relay.store.now().await?;
    let long_ago = now - 30 * HOUR_MS;
    for sql in [
        format!("UPDATE backfills SET requested_at = {now}"),
        format!("UPDATE instagram_connections SET connected_at = {long_ago}"),
    ] {
        sea_orm::ConnectionTrait::execute_unprepared(relay.store.connection(), &sql).await?;
    }
    withheld(&relay, USER, Action::text("two hours ago"), 2);
    withheld(&relay, OTHER, Action::text("answered"), 0);
    withheld(&relay, OTHER, Action::native("by a colleague"), 0);
    let connection = relay.store.snapshot().await?[0].id;
    relay.store.request_backfill(connection, long_ago, "refused").await?;
    assert_eq!(are_stored(&relay, USER, 1).await?, [("two hours ago".to_owned(), json!("history"))]);
    let answered = are_stored(&relay, OTHER, 2).await?;
    assert_eq!(answered[0], ("answered".to_owned(), json!("history")));
    relay.settled().await?;
    looked(&relay).await?;
    assert!(relay.asked().is_empty(), "{:?}", relay.asked());
    // Windows are by the customer's time.
    let chats = relay.rest.get(&format!("chats?instagramUserId={USER}")).await?.json;
    let ends = chats["items"][0]["windowExpiresAt"].as_str().context("no window")?.to_owned();
    let ends = dmrelay_views::parse_time(&ends).map_err(anyhow::Error::msg)?;
    let left = ends - relay.store.now().await?;
    assert!((21 * HOUR_MS..=22 * HOUR_MS).contains(&left), "{left}");
    // The next question tells the agent what it has missed.
    relay.simulator.say(ACCOUNT, USER, "hello?");
    relay.replies(USER, 1).await?;
    assert!(
        relay.asked()[0].contains("two hours ago") && relay.asked()[0].ends_with("hello?"),
        "{:?}",
        relay.asked()
    );
    let status = backfill(&relay).await?;
    assert_eq!((&status["reason"], &status["isRunning"]), (&json!("refused"), &json!(false)));
    // By the request, or by the beat after it: what has just been written is left for that.
    let told = relay.rest.get("activities?kind=INSTAGRAM_MESSAGES_BACKFILLED").await?.json;
    let told = told["items"].as_array().context("no activities")?;
    let found: i64 = told.iter().filter_map(|one| one["details"]["found"].as_i64()).sum();
    assert_eq!(found, 3, "{told:?}");
    relay.end().await
}

async fn what_people_wrote_in_the_app_silences_the_agent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    // Not in the second of the answer, for Meta's times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    withheld(&relay, USER, Action::native("I take over"), 0);
    until("the agent is silent", WITHIN, async || {
        let chats = relay.rest.get(&format!("chats?instagramUserId={USER}")).await?.json;
        Ok((chats["items"][0]["mode"] == "human").then_some(()))
    })
    .await?;
    relay.end().await
}

async fn after_a_lost_subscription_what_came_meanwhile_is_read(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        often(settings);
        // The beat does not come in between.
        settings.worker.backfill_interval = Duration::from_mins(10);
    })
    .await?;
    relay.simulator.say(ACCOUNT, OTHER, "before");
    relay.replies(OTHER, 1).await?;
    relay.simulator.unsubscribe(ACCOUNT);
    relay.simulator.say(ACCOUNT, USER, "into the void");
    relay.simulator.say(ACCOUNT, OTHER, "me too");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let checked = relay.rest.post("check", json!({})).await?;
    assert_eq!(checked.status, 200, "{}", checked.text);
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: into the void"]);
    assert_eq!(relay.replies(OTHER, 2).await?[1], "Answer to: me too");
    let status = backfill(&relay).await?;
    assert_eq!((&status["reason"], &status["found"]), (&json!("resubscribed"), &json!(2)), "{status}");
    relay.end().await
}

async fn a_conversation_that_meta_cannot_show_keeps_no_other_from_being_read(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    let fault = Fault::graph(Operation::Conversation, FaultMode::GraphError).code(1, None);
    relay.simulator.add_fault(Fault { user: Some(OTHER.to_owned()), times: 0, ..fault });
    withheld(&relay, USER, Action::text("fine"), 0);
    withheld(&relay, OTHER, Action::text("with an AI of AI Studio"), 0);
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: fine"]);
    let skipped = relay.metrics.backfill_threads.with_label_values(&["skipped"]);
    until("it is tried again", WITHIN, async || Ok((skipped.get() >= 3).then_some(()))).await?;
    assert_eq!(relay.sent(OTHER).len(), 0);
    // An outage of Meta's loses nothing: it is looked at again.
    relay.simulator.clear_faults(None);
    assert_eq!(relay.replies(OTHER, 1).await?, ["Answer to: with an AI of AI Studio"]);
    // Not in the second of the answer, for Meta's times are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    relay.simulator.add_fault(Fault::graph(Operation::Conversations, FaultMode::DropBefore).times(3));
    withheld(&relay, USER, Action::text("meanwhile"), 0);
    relay.replies(USER, 2).await?;
    relay.end().await
}

async fn a_message_before_the_last_is_found_within_the_hour(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    // The conversation is known from here on.
    withheld(&relay, USER, Action::text("one"), 0);
    relay.replies(USER, 1).await?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    withheld(&relay, USER, Action::text("lost"), 0);
    relay.simulator.say(ACCOUNT, USER, "two");
    relay.replies(USER, 2).await?;
    looked(&relay).await?;
    let two_hours_ago = relay.store.now().await? - 2 * HOUR_MS;
    let sql = format!("UPDATE instagram_connections SET connected_at = {two_hours_ago}");
    sea_orm::ConnectionTrait::execute_unprepared(relay.store.connection(), &sql).await?;
    until("everything is read", WITHIN, async || {
        let status = backfill(&relay).await?;
        Ok((status["reason"] == "beat" && status["finishedAt"].is_string()).then_some(()))
    })
    .await?;
    let all = are_stored(&relay, USER, 5).await?;
    assert!(all.iter().any(|(text, _)| text == "lost"), "{all:?}");
    relay.end().await
}

async fn a_former_connections_gap_is_not_read(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let connection = relay.store.snapshot().await?[0].id;
    relay.store.request_backfill(connection, 1, "refused").await?;
    assert_eq!(backfill(&relay).await?["isRunning"], true);
    // A new token is no new connection.
    assert!(relay.rest.post("connect", connect_body()).await?.status < 300);
    assert_eq!(backfill(&relay).await?["isRunning"], true);
    let path = dmrelay_tests::rest::agent_path("disconnect");
    let gone = relay.rest.request("POST", &path, None, &[]).await?;
    assert_eq!(gone.status, 200, "{}", gone.text);
    let again = relay.rest.post("connect", connect_body()).await?;
    assert!(again.status < 300, "{}", again.text);
    let status = backfill(&relay).await?;
    assert_eq!((&status["isRunning"], &status["reason"]), (&json!(false), &Value::Null), "{status}");
    relay.end().await
}

async fn the_history_is_read_on_request(backend: Backend) -> Result<()> {
    const CUSTOMERS: usize = 30;
    let relay = Relay::start(backend, often).await?;
    let user = |n: usize| format!("2000000000001{n:02}");
    for n in 0..CUSTOMERS {
        withheld(&relay, &user(n), Action::text(format!("question {n}")), 50);
        withheld(&relay, &user(n), Action::native(format!("answer {n}")), 49);
    }
    let photo = json!([{"type": "image", "payload": {"url": "https://lookaside.fbsbx.com/1"}}]);
    withheld(&relay, USER, serde_json::from_value(json!({"kind": "attachments", "attachments": photo}))?, 48);
    // The account's own words of just before, which may be the agent's of a former connection.
    withheld(&relay, OTHER, Action::text("and this?"), 0);
    withheld(&relay, OTHER, Action::native("that too"), 0);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let mut body = connect_body();
    body["importHistory"] = json!(true);
    let connected = relay.rest.post("connect", body).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    until("everything is read", WITHIN, async || {
        let status = backfill(&relay).await?;
        Ok((status["isRunning"] == false && status["finishedAt"].is_string()).then_some(()))
    })
    .await?;
    let status = backfill(&relay).await?;
    assert_eq!(
        (&status["reason"], &status["threads"]),
        (&json!("import"), &json!(CUSTOMERS + 2)),
        "{status}"
    );
    assert_eq!(status["found"], json!(2 * CUSTOMERS + 3));
    relay.settled().await?;
    for n in [0, CUSTOMERS - 1] {
        let texts: Vec<String> = stored(&relay, &user(n)).await?.into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, [format!("question {n}"), format!("answer {n}")]);
    }
    let photos = relay.messages(USER).await?;
    assert_eq!(photos[0]["attachments"][0]["type"], "image", "{}", photos[0]);
    assert!(relay.asked().is_empty());
    let chats = relay.rest.get("chats?limit=200").await?.json;
    let modes = chats["items"].as_array().context("no chats")?.iter().map(|chat| chat["mode"].clone());
    assert!(modes.into_iter().all(|mode| mode == "bot"), "{chats}");
    relay.end().await
}

async fn an_erased_customer_stays_erased(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    relay.simulator.say(ACCOUNT, USER, "forget me");
    relay.replies(USER, 1).await?;
    let path = dmrelay_tests::rest::agent_path(&format!("users/{USER}"));
    let erased = relay.rest.request("DELETE", &path, None, &[]).await?;
    assert!(erased.status < 300, "{}", erased.text);
    let connection = relay.store.snapshot().await?[0].id;
    relay.store.request_backfill(connection, 0, "refused").await?;
    until("it is read", WITHIN, async || Ok(backfill(&relay).await?["finishedAt"].is_string().then_some(())))
        .await?;
    relay.settled().await?;
    assert_eq!(relay.rest.get("messages").await?.json["total"], 0);
    assert_eq!(relay.rest.get("chats").await?.json["total"], 0);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_downtime_all_conversations_are_compared() -> Result<()> {
    let mut cluster = Cluster::start(&[("BACKFILL_INTERVAL", "500ms"), ("BACKFILL_SETTLE", "500ms")]).await?;
    let _worker = cluster.worker()?;
    cluster.simulator.say(ACCOUNT, USER, "before");
    let replies = |count: usize| {
        move |record: &dmrelay_simulator::Record| record.sends_to(ACCOUNT, USER).count() == count
    };
    cluster.simulator.wait_for("a reply", WITHIN, replies(1)).await?;
    cluster.api.terminate()?;
    cluster.api.ended(WITHIN).await?;
    // Nobody has listened for ten minutes.
    let store = dmrelay_tests::relay::open_store(&cluster.postgres.url()).await?;
    let sql = "UPDATE leaders SET until = until - 600000 WHERE name = 'webhooks'";
    sea_orm::ConnectionTrait::execute_unprepared(store.connection(), sql).await?;
    cluster.restart_api().await?;
    until("conversations are compared", WITHIN, async || {
        let status = cluster.rest.get("status").await?.json;
        let is_done = status["backfill"]["finishedAt"].is_string();
        Ok((status["backfill"]["reason"] == "downtime" && is_done).then_some(()))
    })
    .await?;
    assert!(cluster.api.output().contains("nobody has listened for webhooks"), "{}", cluster.api.output());
    Ok(())
}
