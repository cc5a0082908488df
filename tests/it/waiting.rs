//! Customers who wait for an answer are counted from when they wrote, wherever they wait.

use anyhow::{Context, Result};
use dmrelay_simulator::{AccountSpec, AgentRule, Fault, FaultMode, Operation};
use dmrelay_store::Waiting;
use dmrelay_tests::database::Database;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, connect_body};
use dmrelay_tests::wait;
use prometheus::core::Collector as _;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    customers_are_counted_while_questions_fail,
    customers_are_counted_while_answers_cannot_be_sent,
    those_of_a_paused_account_are_held,
    those_whose_webhook_is_not_taken_in_are_counted,
    what_is_written_is_probed_and_taken_back,
    an_erasure_that_is_not_done_is_counted_from_when_it_was_due,
    accounts_that_need_somebody_are_named_the_most_urgent_first,
);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(20);
const LATE: Duration = Duration::from_millis(500);

/// The conversations that wait, once there is one at this stage that has waited for so long.
async fn waiting_for(relay: &Relay, stage: &str, oldest_ms: i64) -> Result<Waiting> {
    wait::until(&format!("{stage}: {oldest_ms} ms"), DEADLINE, async || {
        let waiting = relay.store.waiting(LATE).await?;
        Ok(waiting.into_iter().find(|one| one.stage == stage && one.oldest_ms >= oldest_ms))
    })
    .await
}

async fn nobody_waits(relay: &Relay) -> Result<()> {
    wait::until("nobody waits", DEADLINE, async || {
        Ok(relay.store.waiting(LATE).await?.is_empty().then_some(()))
    })
    .await
}

async fn customers_are_counted_while_questions_fail(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    // Its reads work: only questions fail, and then take long.
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 1_500, ..AgentRule::default() });
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(2);
    relay.simulator.add_fault(fault);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.simulator.say(ACCOUNT, "200000000000002", "hello?");
    // Each failure moves the time at which the next attempt is due.
    let failed = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") >= 2;
    relay.simulator.wait_for("failed questions", DEADLINE, failed).await?;
    let waiting = waiting_for(&relay, "agent", 1_000).await?;
    assert_eq!((waiting.conversations, waiting.late), (2, 2));
    relay.replies(USER, 1).await?;
    relay.replies("200000000000002", 1).await?;
    nobody_waits(&relay).await?;
    relay.end().await
}

async fn customers_are_counted_while_answers_cannot_be_sent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::Before).status(503));
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::Slow).delay(Duration::from_secs(3)));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let waiting = waiting_for(&relay, "send", 1_000).await?;
    assert_eq!((waiting.conversations, waiting.late), (1, 1));
    relay.replies(USER, 1).await?;
    nobody_waits(&relay).await?;
    relay.end().await
}

async fn those_of_a_paused_account_are_held(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    let waiting = waiting_for(&relay, "held", 100).await?;
    assert_eq!(waiting.conversations, 1);
    assert_eq!(relay.store.waiting(LATE).await?.len(), 1, "it counts once");
    relay.change_settings(json!({"botPaused": false})).await?;
    relay.replies(USER, 1).await?;
    nobody_waits(&relay).await?;
    relay.end().await
}

/// From when the customer wrote, by Meta's timestamp, and not from when the webhook came.
async fn those_whose_webhook_is_not_taken_in_are_counted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let now = relay.store.now().await?;
    let later = now + 3_600_000;
    // Claimed by a worker that hangs: two messages of one conversation, and a receipt that nobody waits for.
    for (key, kind, at) in
        [(1, "message", now - 60_000), (2, "message", now - 5_000), (3, "read", now - 90_000)]
    {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let (id, key) = match backend {
            Backend::Servers => (format!("'{id}'"), format!("'\\x0{key}'")),
            Backend::Embedded => (format!("x'{id}'"), format!("x'0{key}'")),
        };
        let sql = format!(
            "INSERT INTO events (id, key, account, thread, kind, container, at, received_at, due_at, claimed_until, ready_at, state) \
             VALUES ({id}, {key}, '{ACCOUNT}', '{USER}', '{kind}', 'messaging', {at}, {now}, {now}, {later}, {now}, 'new')"
        );
        relay.store.connection().execute_unprepared(&sql).await?;
    }
    let waiting = waiting_for(&relay, "inbox", 60_000).await?;
    assert_eq!((waiting.conversations, waiting.late), (1, 1));
    assert!(waiting.oldest_ms < 80_000, "{waiting:?}");
    relay.end().await
}

async fn what_is_written_is_probed_and_taken_back(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.store.probe_write().await?;
    let db = relay.store.connection();
    if backend == Backend::Embedded {
        // Its one connection that writes.
        db.execute_unprepared("PRAGMA query_only = 1").await?;
        assert!(relay.store.probe_write().await.is_err(), "a database that only reads takes the probe");
        db.execute_unprepared("PRAGMA query_only = 0").await?;
        relay.store.probe_write().await?;
    }
    let count =
        sea_orm::Statement::from_string(db.get_database_backend(), "SELECT COUNT(*) AS n FROM write_probes");
    let left: i64 = db.query_one_raw(count).await?.context("no count")?.try_get("", "n")?;
    assert!(left <= 1, "{left} rows of probes");
    assert!(relay.store.size().await? > 100_000);
    relay.end().await
}

async fn an_erasure_that_is_not_done_is_counted_from_when_it_was_due(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    assert_eq!(store.oldest_erasure().await?, 0);
    let now = store.now().await?;
    let add = async |due_at: i64, finished_at: &str| {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let id = if backend == Backend::Servers { format!("'{id}'") } else { format!("x'{id}'") };
        let sql = format!(
            "INSERT INTO erasures (id, subaccount_id, actor, state, due_at, created_at, finished_at) \
             VALUES ({id}, 'acme', 'ada', 'running', {due_at}, {due_at}, {finished_at})"
        );
        store.connection().execute_unprepared(&sql).await
    };
    add(now - 90_000, "1").await?;
    add(now + 600_000, "NULL").await?;
    assert_eq!(store.oldest_erasure().await?, 0, "one is done, and one is not due");
    add(now - 60_000, "NULL").await?;
    add(now - 10_000, "NULL").await?;
    let oldest = store.oldest_erasure().await?;
    assert!((60_000..90_000).contains(&oldest), "{oldest}");
    Ok(())
}

async fn accounts_that_need_somebody_are_named_the_most_urgent_first(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for number in 2..=5 {
        let account = format!("1784140000000000{number}");
        relay.simulator.put_account(AccountSpec::new(&account, "other", &format!("IGAAtest-token-{number}")));
        let mut body = connect_body();
        body["accessToken"] = json!(format!("IGAAtest-token-{number}"));
        body["instagramAccountId"] = json!(account);
        let connected = relay.rest.post("connect", body).await?;
        assert_eq!(connected.status, 201, "{}", connected.text);
    }
    let now = relay.store.now().await?;
    let changes = [
        ("2", "last_event_at = 1".to_owned()),
        ("3", format!("token_expires_at = {}", now + 3_600_000)),
        ("4", "status = 'restricted'".to_owned()),
        ("5", "status = 'reauth_required'".to_owned()),
    ];
    for (number, change) in changes {
        let sql = format!(
            "UPDATE instagram_connections SET {change} WHERE instagram_account_id = '1784140000000000{number}'"
        );
        relay.store.connection().execute_unprepared(&sql).await?;
    }
    let needs = async |most: u64| {
        let found = relay.store.accounts_in_need(3_600_000, most).await?;
        let last = |account: &str| account.chars().last().unwrap_or_default();
        let needs = found.into_iter().map(|one| (last(&one.instagram_account_id), one.need));
        anyhow::Ok(needs.collect::<Vec<_>>())
    };
    let all = [('5', "reconnect"), ('4', "restricted"), ('3', "token_ends"), ('2', "silent")]
        .map(|(account, need)| (account, need.to_owned()));
    assert_eq!(needs(10).await?, all);
    assert_eq!(needs(1).await?, all[..1]);
    let named = async || {
        let families = relay.metrics.account_needs.collect();
        Ok((families.iter().flat_map(prometheus::proto::MetricFamily::get_metric).count() == 4).then_some(()))
    };
    wait::until("the metric", DEADLINE, named).await?;
    relay.end().await
}
