//! The health of connections: what is found, told, and mended.

use anyhow::{Context, Result};
use dmrelay_simulator::{AccountSpec, Fault, FaultMode, Operation, TokenState};
use dmrelay_tests::login::{Person, RETURN, begin};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_healthy_connection_is_ok,
    a_token_that_meta_rejects_is_found_without_a_send,
    a_lost_subscription_is_made_again,
    an_account_whose_owner_lets_no_app_read_is_told,
    what_was_not_granted_is_told,
    a_token_that_ends_is_told_before,
    silence_is_told_by_the_accounts_own_traffic,
    an_outage_of_metas_changes_nothing,
    checks_are_made_on_their_own,
);

const WITHIN: Duration = Duration::from_secs(20);
const DAY_MS: i64 = 86_400_000;
const USER: &str = "200000000000001";
const PAGED: &str = "17841400000000003";
const PAGE: &str = "104508901353867";

async fn check(relay: &Relay) -> Result<Value> {
    let answer = relay.rest.post("check", json!({})).await?;
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    Ok(answer.json)
}

/// The state of a check, and its message.
fn found<'a>(health: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = health["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let check = checks.iter().find(|check| check["check"] == name).unwrap_or(&Value::Null);
    (check["state"].as_str().unwrap_or("missing"), check["message"].as_str().unwrap_or_default())
}

async fn set(relay: &Relay, sql: &str) -> Result<()> {
    relay.store.connection().execute_unprepared(sql).await?;
    Ok(())
}

/// A Page connected by a login, of which Meta tells more.
async fn paged(backend: Backend) -> Result<Relay> {
    let relay = Relay::start(backend, |_| {}).await?;
    relay.simulator.put_account(AccountSpec::new(PAGED, "acme_page", "EAAacme").facebook_login(PAGE));
    let begun = begin(&relay.rest, json!({"loginKind": "facebook", "returnUrl": RETURN})).await?;
    anyhow::ensure!(Person::new()?.allow(&begun, &[PAGED]).await?.outcome().0 == "connected");
    Ok(relay)
}

async fn changes(relay: &Relay) -> Result<Vec<(String, String)>> {
    let list = relay.rest.get("activities?kind=INSTAGRAM_CHECK_CHANGED").await?.json;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = list["items"].as_array().context("no items")?.iter();
    let mut all: Vec<_> =
        all.map(|one| (word(&one["details"]["check"]), word(&one["details"]["state"]))).collect();
    all.reverse();
    Ok(all)
}

async fn a_healthy_connection_is_ok(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    assert_eq!(relay.rest.get("status").await?.json["health"], json!({"state": "unknown", "checks": []}));
    let health = check(&relay).await?;
    assert_eq!(
        (&health["state"], health["checks"].as_array().map(Vec::len)),
        (&json!("ok"), Some(8)),
        "{health}"
    );
    // Whoever pasted a token knows what it is allowed; Meta does not tell.
    assert_eq!(found(&health, "permissions").0, "unknown");
    assert_eq!(relay.rest.get("status").await?.json["health"], health);
    assert_eq!(relay.rest.get("connections").await?.json["items"][0]["health"], "ok");
    assert_eq!(changes(&relay).await?, []);
    // Since when it is so does not move.
    let again = check(&relay).await?;
    let since = |health: &Value| -> Vec<Value> {
        health["checks"].as_array().into_iter().flatten().map(|check| check["since"].clone()).collect()
    };
    assert_eq!(since(&health), since(&again));
    relay.rest.post("disconnect", json!({})).await?;
    assert_eq!(relay.rest.post("check", json!({})).await?.status, 409);
    assert_eq!(relay.rest.get("connections").await?.json["items"][0]["health"], Value::Null);
    relay.end().await
}

async fn a_token_that_meta_rejects_is_found_without_a_send(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    check(&relay).await?;
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    let health = check(&relay).await?;
    let (state, message) = found(&health, "token");
    assert!(
        state == "failing" && message.contains("190/460") && message.contains("Log in again"),
        "{health}"
    );
    assert_eq!(relay.rest.get("status").await?.json["status"], "reauth_required");
    // What was not asked is as it was.
    assert_eq!(found(&health, "webhooks").0, "ok");
    // Meta thinks better of it: the account goes on by itself, with what came meanwhile.
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.simulator.set_tokens(ACCOUNT, TokenState::Valid);
    assert_eq!(found(&check(&relay).await?, "token").0, "ok");
    relay.replies(USER, 1).await?;
    let states =
        [("token", "failing"), ("token", "ok")].map(|(check, state)| (check.to_owned(), state.to_owned()));
    assert_eq!(changes(&relay).await?, states);
    relay.end().await
}

async fn a_lost_subscription_is_made_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.unsubscribe(ACCOUNT);
    let health = check(&relay).await?;
    let (state, message) = found(&health, "webhooks");
    assert!(state == "ok" && message.contains("again"), "{health}");
    let list = relay.rest.get("activities?kind=INSTAGRAM_WEBHOOKS_RESUBSCRIBED").await?.json;
    let missing = list["items"][0]["details"]["missing"].as_array().context("no activity")?;
    assert!(missing.contains(&json!("messages")), "{missing:?}");
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    // Where that is not possible, it is told.
    relay.simulator.unsubscribe(ACCOUNT);
    relay.simulator.add_fault(Fault::graph(Operation::Subscribe, FaultMode::GraphError).code(10, None));
    let health = check(&relay).await?;
    let (state, message) = found(&health, "webhooks");
    assert!(state == "failing" && message.contains("messages") && message.contains("(10)"), "{health}");
    assert_eq!(health["state"], "failing");
    relay.end().await
}

async fn an_account_whose_owner_lets_no_app_read_is_told(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.set_message_access(ACCOUNT, false);
    let health = check(&relay).await?;
    let (state, message) = found(&health, "message_access");
    assert!(state == "failing" && message.contains("Allow access to messages"), "{health}");
    relay.simulator.set_message_access(ACCOUNT, true);
    assert_eq!(found(&check(&relay).await?, "message_access").0, "ok");
    relay.end().await
}

async fn what_was_not_granted_is_told(backend: Backend) -> Result<()> {
    let relay = paged(backend).await?;
    assert_eq!(found(&check(&relay).await?, "permissions").0, "ok");
    let left = ["instagram_basic", "instagram_manage_messages", "pages_manage_metadata"];
    relay.simulator.set_permissions(PAGED, &left);
    let health = check(&relay).await?;
    let (state, message) = found(&health, "permissions");
    assert!(
        state == "failing"
            && message.ends_with("Not granted: pages_messaging. Log in again and grant all permissions."),
        "{health}"
    );
    // With Instagram Login it is what the code came with.
    let begun = begin(&relay.rest, json!({"loginKind": "instagram", "returnUrl": RETURN})).await?;
    assert_eq!(Person::new()?.allow(&begun, &[ACCOUNT]).await?.outcome().0, "connected");
    let list = relay.rest.get("connections").await?.json;
    let id = list["items"][0]["connectionId"].clone();
    let health = relay.rest.post("check", json!({"connectionId": id})).await?.json;
    assert_eq!(found(&health, "permissions").0, "ok", "{health}");
    relay.end().await
}

async fn a_token_that_ends_is_told_before(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let ends_in = async |days: i64| {
        let at = relay.store.now().await? + days * DAY_MS + 3_600_000;
        set(
            &relay,
            &format!("UPDATE instagram_connections SET token_expires_at = {at}, token_check_at = {at}"),
        )
        .await?;
        let health = check(&relay).await?;
        let (state, message) = found(&health, "token_end");
        anyhow::Ok((state.to_owned(), message.to_owned()))
    };
    assert_eq!(ends_in(30).await?.0, "ok");
    let (state, message) = ends_in(8).await?;
    assert!(
        state == "warning" && message.contains("8 days") && message.contains("Log in again"),
        "{message}"
    );
    assert_eq!(ends_in(2).await?.0, "failing");
    assert_eq!(ends_in(59).await?.0, "ok");
    relay.end().await?;
    // A Page's token does not end, but the app's access to its data may.
    let relay = paged(backend).await?;
    assert_eq!(found(&check(&relay).await?, "token_end").0, "ok");
    relay.simulator.end_data_access(PAGED, relay.simulator.now_ms() + 10 * DAY_MS);
    let health = check(&relay).await?;
    let (state, message) = found(&health, "token_end");
    assert!(state == "warning" && message.contains("cannot be renewed"), "{health}");
    assert_eq!(relay.rest.get("status").await?.json["tokenDaysLeft"], 9);
    relay.end().await
}

async fn silence_is_told_by_the_accounts_own_traffic(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let state = async || anyhow::Ok(found(&check(&relay).await?, "traffic").0.to_owned());
    assert_eq!(state().await?, "ok");
    let now = relay.store.now().await?;
    set(&relay, &format!("UPDATE instagram_connections SET connected_at = {}", now - 20 * DAY_MS)).await?;
    // None at all, since it was connected.
    assert_eq!(state().await?, "warning");
    let last = now - 13 * 3_600_000;
    set(&relay, &format!("UPDATE instagram_connections SET last_event_at = {last}")).await?;
    // Of an account that has no traffic, half a day says nothing.
    assert_eq!(state().await?, "ok");
    let id = relay.store.snapshot().await?[0].id;
    for (day, received) in [(1, 700), (5, 700), (9, 600)] {
        let day = now / DAY_MS - day;
        let id = match backend {
            Backend::Embedded => format!("x'{}'", id.0.simple()),
            Backend::Servers => format!("'{}'", id.0),
        };
        set(&relay, &format!(
            "INSERT INTO usage_days (connection_id, day, subaccount_id, instagram_account_id, received, sent_by_agent, \
             sent_by_people, failed, turns, questions) VALUES ({id}, {day}, 'acme', '{ACCOUNT}', {received}, 0, 0, 0, 0, 0)"
        ))
        .await?;
    }
    let health = check(&relay).await?;
    let (state_now, message) = found(&health, "traffic");
    assert!(
        state_now == "warning" && message.contains("13 hours") && message.contains("100 messages a day"),
        "{health}"
    );
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    assert_eq!(state().await?, "ok");
    relay.end().await
}

async fn an_outage_of_metas_changes_nothing(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.set_message_access(ACCOUNT, false);
    let before = check(&relay).await?;
    for operation in [Operation::Me, Operation::Subscriptions, Operation::Conversations] {
        relay.simulator.add_fault(Fault::graph(operation, FaultMode::DropBefore));
        let health = check(&relay).await?;
        for name in ["token", "webhooks", "message_access", "permissions"] {
            assert_eq!(found(&health, name), found(&before, name), "{operation:?} {name}");
        }
        relay.simulator.clear_faults(None);
    }
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    relay.end().await
}

async fn checks_are_made_on_their_own(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.api.health.check_interval = Duration::from_millis(300);
    })
    .await?;
    let state = async || relay.rest.get("status").await.map(|status| status.json["health"]["state"].clone());
    until("it is checked", WITHIN, async || Ok((state().await? == "ok").then_some(()))).await?;
    relay.simulator.set_message_access(ACCOUNT, false);
    until("it is found", WITHIN, async || Ok((state().await? == "failing").then_some(()))).await?;
    let gauge = async || {
        let text = String::from_utf8(relay.metrics.render())?;
        anyhow::Ok(
            text.contains("dmrelay_connection_checks{check=\"message_access\",state=\"failing\"} 1")
                .then_some(()),
        )
    };
    until("it is counted", WITHIN, gauge).await?;
    relay.end().await
}
