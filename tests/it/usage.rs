//! Usage is counted by account and day, visible only to its subaccount, and kept.

use anyhow::{Context, Result, ensure};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_store::{UsageFilter, day_of};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, Rest, agent_path};
use dmrelay_tests::wait;
use dmrelay_views::date;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

on_both_backends!(messages_turns_and_questions_are_counted_and_stay_counted);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(20);

async fn usage(rest: &Rest, query: &str) -> Result<Answer> {
    rest.request("GET", &format!("/api/database/acme/usage{query}"), None, &[]).await
}

/// The usage, once it has these totals.
async fn counted(rest: &Rest, totals: &Value) -> Result<Value> {
    wait::until(&format!("usage {totals}"), DEADLINE, async || {
        let answer = usage(rest, "").await?;
        ensure!(answer.status == 200, "{}", answer.text);
        Ok((answer.json["totals"] == *totals).then_some(answer.json))
    })
    .await
}

async fn messages_turns_and_questions_are_counted_and_stay_counted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.usage_interval = Duration::from_millis(300);
        settings.worker.budgets.turns_per_subaccount_hour = 500;
        settings.worker.budgets.turns_per_subaccount_day = 0;
    })
    .await?;
    // The first question is asked twice.
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(500));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.simulator.say(ACCOUNT, USER, "and?");
    relay.replies(USER, 2).await?;
    let sent = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?;
    ensure!(sent.status < 300, "{}", sent.text);
    let totals = json!({
        "received": 2, "sentByAgent": 2, "sentByPeople": 1, "failed": 0, "turns": 2, "questions": 3,
        "understood": 0, "understoodTokens": 0, "understoodSeconds": 0
    });
    let found = counted(&relay.rest, &totals).await?;
    let today = date(day_of(relay.store.now().await?));
    let days = found["days"].as_array().context("days")?;
    ensure!(!days.is_empty() && days.len() <= 2, "{found}");
    assert_eq!((&found["to"], &days[0]["day"]), (&json!(today), &json!(today)));
    assert_eq!((&days[0]["instagramAccountId"], &days[0]["questions"]), (&json!(ACCOUNT), &json!(3)));
    let budgets = &found["budgets"];
    assert_eq!((&budgets[0]["period"], &budgets[0]["limit"]), (&json!("hour"), &json!(500)), "{budgets}");
    assert_eq!((&budgets[1]["period"], &budgets[1]["limit"]), (&json!("day"), &json!(null)), "{budgets}");
    let all_used = async || {
        let budgets = usage(&relay.rest, "").await?.json["budgets"].clone();
        Ok((budgets[1]["used"] == json!(2) && budgets[0]["used"].as_i64() <= Some(2)).then_some(()))
    };
    wait::until("the budgets' use", DEADLINE, all_used).await?;
    let csv = usage(&relay.rest, "?format=csv").await?;
    assert!(csv.header("content-type").starts_with("text/csv"), "{}", csv.header("content-type"));
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(
        lines[0],
        "day,subaccountId,connectionId,instagramAccountId,received,sentByAgent,sentByPeople,failed,turns,questions,understood,understoodTokens,understoodSeconds"
    );
    ensure!(
        lines[1].starts_with(&format!("{today},acme,")) && lines[1].ends_with(",2,2,1,0,2,3,0,0,0"),
        "{}",
        csv.text
    );

    // The customer is erased: what was used was used.
    let erased = relay.rest.request("DELETE", &agent_path(&format!("users/{USER}")), None, &[]).await?;
    ensure!(erased.status < 300, "{}", erased.text);
    tokio::time::sleep(Duration::from_millis(900)).await;
    counted(&relay.rest, &totals).await?;
    assert_eq!(relay.store.forget_usage(Duration::from_hours(48)).await?, 0);

    for (query, field) in [
        ("?from=2026-02-30", "from"),
        ("?from=2026-11-02&to=2026-11-01", "from"),
        ("?from=2026-01-01&to=2026-11-01", "from"),
        ("?format=xml", "format"),
    ] {
        let refused = usage(&relay.rest, query).await?;
        assert_eq!((refused.status, refused.text.contains(field)), (422, true), "{query}: {}", refused.text);
    }
    let none = usage(&relay.rest, "?connectionId=01920000-0000-7000-8000-000000000001").await?;
    assert_eq!((none.status, &none.json["days"]), (200, &json!([])));
    let other = Some(SubaccountId::parse("other")?);
    let day = day_of(relay.store.now().await?);
    let of_other = UsageFilter { subaccount: other, from: day - 1, to: day, ..UsageFilter::default() };
    assert_eq!(relay.store.usage(&of_other, 10).await?, []);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_all_use() -> Result<()> {
    let mut cluster = Cluster::start(&[("USAGE_INTERVAL", "300ms")]).await?;
    let (_worker, port) = cluster.watched_worker()?;
    cluster.simulator.say(ACCOUNT, USER, "hello");
    let watched = Rest::new(SocketAddr::from(([127, 0, 0, 1], port.number)))?;
    wait::until("the metric", DEADLINE, async || {
        let Ok(metrics) = watched.request("GET", "/metrics", None, &[]).await else { return Ok(None) };
        let counted = "dmrelay_usage_today{subaccount=\"acme\",what=\"sent_by_agent\"} 1";
        Ok(metrics.text.contains(counted).then_some(()))
    })
    .await?;
    let admin = async |args: &[&str]| {
        let args = [&["admin", "usage"], args].concat();
        cluster.run("dmrelay-api", &args, &[("RUST_LOG", "off")]).await
    };
    let (success, table) = admin(&[]).await?;
    assert!(success && table.contains("acme") && table.contains("days in UTC"), "{table}");
    let (_, csv) = admin(&["--csv", "--subaccount", "acme"]).await?;
    assert!(csv.lines().nth(1).is_some_and(|line| line.ends_with(",1,1,0,0,1,1,0,0,0")), "{csv}");
    let (_, days) = admin(&["--json"]).await?;
    let days: Value = serde_json::from_str(&days)?;
    assert_eq!((&days[0]["subaccountId"], &days[0]["turns"]), (&json!("acme"), &json!(1)), "{days}");
    let (_, none) = admin(&["--to", "2020-01-01"]).await?;
    assert!(none.contains("nothing was used on these days"), "{none}");
    let (success, wrong) = admin(&["--from", "yesterday"]).await?;
    assert!(!success && wrong.contains("must be a day like 2026-11-26"), "{wrong}");
    Ok(())
}
