//! Expiring tokens are renewed in time; if that fails, operators are told.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::ids::InstagramAccountId;
use dmrelay_simulator::{AccountSpec, Fault, FaultMode, Operation, TokenState};
use dmrelay_store::{Connection, Renewed};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, agent_path, connect_body};
use dmrelay_tests::settings::Settings;
use dmrelay_tests::wait;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    an_expiring_token_is_renewed_and_used,
    a_token_of_unknown_expiry_is_renewed_after_a_day,
    a_rejection_is_logged_once_and_retried_after_a_day,
    an_outage_is_retried_soon_and_not_logged,
    an_invalid_token_parks_the_connection_of_a_paused_agent_too,
    a_pages_token_is_not_renewed_and_a_warning_is_logged,
    a_reconnect_takes_precedence_over_a_renewal,
);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 24 * 3_600_000;

fn often(settings: &mut Settings) {
    settings.worker.token_check_interval = Duration::from_millis(50);
}

async fn row(relay: &Relay) -> Result<Connection> {
    let account = InstagramAccountId::parse(ACCOUNT)?;
    relay.store.live_connection(&account).await?.context("no connection")
}

async fn set(relay: &Relay, columns: &str) -> Result<()> {
    let sql = format!("UPDATE instagram_connections SET {columns}");
    relay.store.connection().execute_unprepared(&sql).await?;
    Ok(())
}

async fn ends_in_days(relay: &Relay, days: i64) -> Result<()> {
    let at = relay.store.now().await? + days * DAY_MS;
    set(relay, &format!("token_expires_at = {at}, token_check_at = NULL")).await
}

fn refreshes(relay: &Relay) -> u64 {
    relay.simulator.record(|record| record.calls_of("graph.refresh_token"))
}

async fn told(relay: &Relay, kind: &str) -> Result<Vec<Value>> {
    let answer = relay.rest.get(&format!("activities?kind={kind}&limit=200")).await?;
    answer.json["items"].as_array().cloned().context("no items")
}

/// Waits until the token check has run for a second.
async fn looked(relay: &Relay) -> Result<()> {
    let db = relay.store.connection();
    let sql = "SELECT until FROM leaders WHERE name = 'tokens'";
    let held = async || {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        anyhow::Ok(row.context("nobody looks")?.try_get::<i64>("", "until")?)
    };
    let first = held().await?;
    wait::until("beats", DEADLINE, async || Ok((held().await? >= first + 1_000).then_some(()))).await
}

async fn until_renewed(relay: &Relay, before: &Connection) -> Result<Connection> {
    wait::until("a new token", DEADLINE, async || {
        let now = row(relay).await?;
        Ok((now.row.credential_version > before.row.credential_version).then_some(now))
    })
    .await
}

async fn until_told(relay: &Relay) -> Result<Value> {
    wait::until("a logged warning", DEADLINE, async || {
        Ok(told(relay, "INSTAGRAM_TOKEN_FAILING").await?.pop())
    })
    .await
}

async fn an_expiring_token_is_renewed_and_used(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    let before = row(&relay).await?;
    ends_in_days(&relay, 11).await?;
    looked(&relay).await?;
    assert_eq!(refreshes(&relay), 0);
    ends_in_days(&relay, 9).await?;
    let after = until_renewed(&relay, &before).await?;
    let left = after.row.token_expires_at.context("no end")? - relay.store.now().await?;
    assert!((59 * DAY_MS..61 * DAY_MS).contains(&left), "{left}");
    assert_ne!(after.row.access_token, before.row.access_token);
    // The new token can be decrypted, and Graph knows it.
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    looked(&relay).await?;
    assert_eq!(refreshes(&relay), 1);
    assert_eq!(told(&relay, "INSTAGRAM_TOKEN_REFRESHED").await?.len(), 1);
    assert!(told(&relay, "INSTAGRAM_TOKEN_FAILING").await?.is_empty());
    relay.end().await
}

async fn a_token_of_unknown_expiry_is_renewed_after_a_day(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    let before = row(&relay).await?;
    assert_eq!(before.row.token_expires_at, None);
    let old = relay.store.now().await? - 2 * DAY_MS;
    // The row is old; the token is from today, by a reconnect.
    set(&relay, &format!("connected_at = {old}")).await?;
    looked(&relay).await?;
    assert_eq!(refreshes(&relay), 0);
    set(&relay, "token_check_at = 1").await?;
    let after = until_renewed(&relay, &before).await?;
    assert!(after.row.token_expires_at.is_some());
    relay.end().await
}

async fn a_rejection_is_logged_once_and_retried_after_a_day(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    relay.simulator.add_fault(Fault::graph(Operation::RefreshToken, FaultMode::GraphError).code(100, None));
    let before = row(&relay).await?;
    ends_in_days(&relay, 5).await?;
    let failing = until_told(&relay).await?;
    assert_eq!((&failing["actor"], &failing["details"]["code"]), (&json!("system"), &json!("100")));
    looked(&relay).await?;
    let now = row(&relay).await?;
    assert_eq!((refreshes(&relay), now.status.as_str()), (1, "connected"));
    assert_eq!(told(&relay, "INSTAGRAM_TOKEN_FAILING").await?.len(), 1);
    let wait = now.row.token_check_at.context("no next look")? - relay.store.now().await?;
    assert!((DAY_MS - 60_000..=DAY_MS).contains(&wait), "{wait}");
    set(&relay, "token_check_at = 1").await?;
    until_renewed(&relay, &before).await?;
    relay.end().await
}

async fn an_outage_is_retried_soon_and_not_logged(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    relay.simulator.add_fault(Fault::graph(Operation::RefreshToken, FaultMode::DropBefore));
    let before = row(&relay).await?;
    ends_in_days(&relay, 5).await?;
    wait::until("an attempt", DEADLINE, async || Ok((refreshes(&relay) == 1).then_some(()))).await?;
    looked(&relay).await?;
    assert_eq!(refreshes(&relay), 1);
    let wait = row(&relay).await?.row.token_check_at.context("no next look")? - relay.store.now().await?;
    assert!((60_000..=5 * 60_000).contains(&wait), "{wait}");
    assert!(told(&relay, "INSTAGRAM_TOKEN_FAILING").await?.is_empty());
    set(&relay, "token_check_at = 1").await?;
    until_renewed(&relay, &before).await?;
    relay.end().await
}

async fn an_invalid_token_parks_the_connection_of_a_paused_agent_too(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, often).await?;
    let paused = json!({"botPaused": true}).to_string().into_bytes();
    let answer = relay.rest.request("PATCH", &agent_path("settings"), Some(paused), &[]).await?;
    ensure!(answer.status == 200, "{}", answer.text);
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    ends_in_days(&relay, 5).await?;
    wait::until("the connection is parked", DEADLINE, async || {
        Ok((row(&relay).await?.status.as_str() == "reauth_required").then_some(()))
    })
    .await?;
    looked(&relay).await?;
    let parked = row(&relay).await?;
    assert_eq!((parked.row.status_reason.as_deref(), refreshes(&relay)), (Some("190/460"), 1));
    assert!(parked.row.bot_paused);
    let failing = told(&relay, "INSTAGRAM_TOKEN_FAILING").await?;
    assert_eq!((failing.len(), &failing[0]["details"]["code"]), (1, &json!("190/460")));
    assert_eq!(told(&relay, "INSTAGRAM_CONNECTION_STATE_CHANGED").await?.len(), 1);
    relay.end().await
}

async fn a_pages_token_is_not_renewed_and_a_warning_is_logged(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, often).await?;
    let (token, page) = ("EAAtest-token-of-acme", "100000000000001");
    relay.simulator.put_account(AccountSpec::new(ACCOUNT, "acme", token).facebook_login(page));
    let mut body = connect_body();
    body["accessToken"] = json!(token);
    body["pageId"] = json!(page);
    let answer = relay.rest.post("connect", body).await?;
    ensure!(answer.status == 201, "{}", answer.text);
    // One that never expires, as most of them.
    let old = relay.store.now().await? - 2 * DAY_MS;
    set(&relay, &format!("connected_at = {old}, token_check_at = NULL")).await?;
    looked(&relay).await?;
    assert!(told(&relay, "INSTAGRAM_TOKEN_FAILING").await?.is_empty());
    ends_in_days(&relay, 5).await?;
    let failing = until_told(&relay).await?;
    assert!(failing["details"]["reason"].as_str().is_some_and(|reason| reason.contains("connect again")));
    looked(&relay).await?;
    assert_eq!((told(&relay, "INSTAGRAM_TOKEN_FAILING").await?.len(), refreshes(&relay)), (1, 0));
    assert_eq!(row(&relay).await?.status.as_str(), "connected");
    relay.end().await
}

async fn a_reconnect_takes_precedence_over_a_renewal(backend: Backend) -> Result<()> {
    // No other process checks tokens.
    let seldom = |settings: &mut Settings| settings.worker.token_check_interval = Duration::from_hours(1);
    let relay = Relay::connected(backend, seldom).await?;
    ends_in_days(&relay, 5).await?;
    let claim = || relay.store.claim_tokens(Duration::from_hours(240), Duration::from_mins(5), 10);
    let claimed = claim().await?;
    assert_eq!((claimed.len(), claim().await?.len()), (1, 0));
    assert_eq!(relay.rest.connect().await?.status, 201);
    let connected = row(&relay).await?;
    let renewed = Renewed { access_token: vec![1], token_proof: None, expires_in: None };
    assert!(!relay.store.renew_token(&claimed[0], &renewed).await?);
    assert!(!relay.store.token_failing(&claimed[0], "x", None).await?);
    relay.store.put_token_off(&claimed[0], Duration::ZERO).await?;
    assert_eq!(row(&relay).await?.row, connected.row);
    relay.end().await
}
