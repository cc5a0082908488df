//! One tenant's flood of webhooks: it waits for itself, and asks the agent no more often than its budget allows.

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::AccountSpec;
use dmrelay_store::entity::event;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, Rest, connect_body, text_webhook};
use dmrelay_tests::wait;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_backends!(
    a_flood_of_signed_events_delays_nobody_else,
    a_human_is_heard_through_a_rush,
    beyond_a_budget_of_turns_customers_wait_and_are_then_answered,
);

const FLOODED: &str = "17841400000000002";
const SECRET: &str = "the-flooders-own-app-secret";
const USER: &str = "200000000000001";

/// Another tenant, which may sign whatever it likes for its own account.
async fn connect_flooder(relay: &Relay, secret: Option<&str>) -> Result<()> {
    relay.simulator.put_account(AccountSpec::new(FLOODED, "flooder", "IGAAtest-token-of-flooder"));
    let mut body = connect_body();
    body["accessToken"] = json!("IGAAtest-token-of-flooder");
    body["instagramAccountId"] = json!(FLOODED);
    body["appSecret"] = json!(secret);
    let path = "/api/database/flooder/chat-agents/agent_flooder/instagram/connect";
    let answer = relay.rest.request("POST", path, Some(body.to_string().into_bytes()), &[]).await?;
    ensure!(answer.status == 201, "{}", answer.text);
    Ok(())
}

/// A webhook with so many messages, each of another customer.
fn many(from: usize, count: usize) -> Result<Vec<u8>> {
    let mut webhook: Value = serde_json::from_slice(&text_webhook(FLOODED, "3", "m", "flood"))?;
    let template = webhook["entry"][0]["messaging"][0].take();
    let items = (from..from + count).map(|number| {
        let mut item = template.clone();
        item["sender"]["id"] = json!(format!("3000{number:06}"));
        item["message"]["mid"] = json!(format!("flood-{number}"));
        item
    });
    webhook["entry"][0]["messaging"] = items.collect();
    Ok(webhook.to_string().into_bytes())
}

async fn flood(rest: &Rest, from: usize, count: usize) -> Result<u16> {
    let path = "/api/database/flooder/chat-agents/agent_flooder/instagram/webhook";
    Ok(rest.webhook(path, &many(from, count)?, SECRET).await?.status)
}

async fn a_flood_of_signed_events_delays_nobody_else(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.events_per_account = 20;
        settings.limits.events_burst_per_account = 100;
    })
    .await?;
    connect_flooder(&relay, Some(SECRET)).await?;
    for from in (0..4_000).step_by(500) {
        assert_eq!(flood(&relay.rest, from, 500).await?, 200);
    }
    // Somebody else's customer is answered at once.
    let began = Instant::now();
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    // Of the flood little more than its burst is taken in, and all of it is stored.
    let db = relay.store.connection();
    let of_flood = || event::Entity::find().filter(event::Column::Account.eq(FLOODED));
    assert_eq!(of_flood().count(db).await?, 4_000);
    let taken = of_flood().filter(event::Column::State.into_expr().ne("new")).count(db).await?;
    let most = 100 + 20 * (began.elapsed().as_secs() + 10);
    assert!(taken <= most, "{taken} of at most {most}");
    // It is told, and the rest comes in its time.
    let path = "/api/database/flooder/chat-agents/agent_flooder/instagram/status";
    let notices = wait::until("the notice", Duration::from_secs(20), async || {
        let status = relay.rest.request("GET", path, None, &[]).await?;
        let notices = status.json["notices"].as_array().cloned().context("no notices")?;
        Ok(notices.into_iter().find(|notice| notice["code"] == "events_over_budget"))
    })
    .await?;
    assert!(notices["message"].as_str().is_some_and(|text| text.contains("answered later")), "{notices}");
    // A tenant that signs for itself and is ahead of its budget by more than ten minutes is refused.
    let mut statuses = Vec::new();
    for from in (4_000..20_000).step_by(1_000) {
        statuses.push(flood(&relay.rest, from, 1_000).await?);
    }
    assert_eq!(statuses.last(), Some(&503), "{statuses:?}");
    let webhook = text_webhook(ACCOUNT, USER, "m-after", "and now?");
    let after = relay.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?;
    assert_eq!(after.status, 200);
    relay.end().await
}

/// Whoever answers in the Instagram app during a rush is not talked over: what tells of it does not wait.
async fn a_human_is_heard_through_a_rush(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.limits.events_per_account = 1;
        settings.limits.events_burst_per_account = 2;
        settings.limits.events_per_subaccount = 100;
        settings.limits.events_wait_max = Duration::from_mins(5);
    })
    .await?;
    connect_flooder(&relay, None).await?;
    let webhook = many(0, 100)?;
    assert_eq!(relay.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?.status, 200);
    let echo = json!({"object": "instagram", "entry": [{"id": FLOODED, "time": relay.simulator.now_ms(), "messaging": [{
        "sender": {"id": FLOODED}, "recipient": {"id": "3000000099"}, "timestamp": relay.simulator.now_ms(),
        "message": {"mid": "m-human", "text": "I am here", "is_echo": true}}]}]});
    let echo = echo.to_string().into_bytes();
    assert_eq!(relay.rest.webhook("/webhooks/instagram", &echo, APP_SECRET).await?.status, 200);
    // The customer's message waited; the human's answer came in at once, and the customer's before it.
    let path = "/api/database/flooder/chat-agents/agent_flooder/instagram/chats?instagramUserId=3000000099";
    wait::until("the human", Duration::from_secs(20), async || {
        let chats = relay.rest.request("GET", path, None, &[]).await?;
        Ok((chats.json["items"][0]["mode"] == "human").then_some(()))
    })
    .await?;
    assert_eq!(relay.sent("3000000099"), Vec::<String>::new());
    let db = relay.store.connection();
    let waiting = event::Entity::find()
        .filter(event::Column::Account.eq(FLOODED))
        .filter(event::Column::DueAt.is_not_null());
    assert!(waiting.count(db).await? > 50);
    relay.end().await
}

async fn beyond_a_budget_of_turns_customers_wait_and_are_then_answered(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.worker.budgets.turns_per_account_hour = 3).await?;
    connect_flooder(&relay, None).await?;
    let asked = || relay.asked().len();
    for number in 0..6 {
        let user = format!("20000000000000{number}");
        relay.simulator.say(ACCOUNT, &user, "hello");
        if number < 3 {
            relay.replies(&user, 1).await?;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(asked(), 3);
    // Another account has its own budget.
    relay.simulator.say(FLOODED, "3001", "hello");
    wait::until("the other's question", Duration::from_secs(20), async || Ok((asked() == 4).then_some(())))
        .await?;
    let notice = wait::until("the notice", Duration::from_secs(20), async || {
        let status = relay.rest.get("status").await?;
        let notices = status.json["notices"].as_array().cloned().context("no notices")?;
        Ok(notices.into_iter().find(|notice| notice["code"] == "turns_over_budget"))
    })
    .await?;
    assert!(notice["message"].as_str().is_some_and(|text| text.contains("3 times in an hour")), "{notice}");
    // Nobody is lost: in the next hour they are asked. Here the hour is over.
    let over = "UPDATE turn_counts SET hour = hour - 1";
    sea_orm::ConnectionTrait::execute_unprepared(relay.store.connection(), over).await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let due = dmrelay_store::entity::chat::Entity::update_many()
        .col_expr(dmrelay_store::entity::chat::Column::TurnReservedUntil, 0_i64.into());
    due.exec(relay.store.connection()).await?;
    wait::until("the rest", Duration::from_secs(30), async || Ok((asked() == 7).then_some(()))).await?;
    relay.end().await
}
