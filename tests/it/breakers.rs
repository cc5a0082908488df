//! Circuit breakers: a failing service gets a pause, and everything else continues.

use anyhow::{Context, Result};
use dmrelay_domain::ids::{AgentId, InstagramAccountId};
use dmrelay_domain::states::LoginKind;
use dmrelay_simulator::{AccountSpec, AgentRule, Fault, FaultMode, Operation, Record};
use dmrelay_store::{Admit, BreakerKey, BreakerState, Store};
use dmrelay_tests::database::Database;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, connect_body};
use dmrelay_tests::wait;
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    a_service_breaker_opens_once_three_of_its_agents_or_accounts_fail,
    an_unused_probe_is_released,
    a_failing_agent_does_not_affect_the_others,
    failing_completions_open_the_breaker_even_if_reads_succeed,
    a_first_message_probes_an_expired_breaker,
);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(20);

async fn trip(store: &Store, key: &BreakerKey) -> Result<()> {
    for _ in 0..5 {
        store.record_failure(key, "transient", Duration::ZERO).await?;
    }
    Ok(())
}

async fn a_service_breaker_opens_once_three_of_its_agents_or_accounts_fail(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    let agent = |n: u32| anyhow::Ok(BreakerKey::AgentOf(AgentId::parse(&format!("agent_{n}"))?));
    let account = |n: u32| anyhow::Ok(BreakerKey::GraphAccount(InstagramAccountId::parse(&n.to_string())?));
    let graph = BreakerKey::GraphApp(LoginKind::Instagram);
    for n in 1..=3 {
        // Accounts say nothing about the agent's provider, nor agents about Graph.
        trip(&store, &account(n)?).await?;
        let opened = store.trip_shared(&account(n)?, &graph, "transient", Duration::ZERO).await?;
        assert_eq!(opened, n == 3, "after {n} accounts");
        assert_eq!(store.admit(&[BreakerKey::Agent]).await?, Admit::Now);
    }
    assert!(matches!(store.admit(&[graph]).await?, Admit::NotBefore(_)));
    for n in 1..=2 {
        trip(&store, &agent(n)?).await?;
        assert!(
            !store.trip_shared(&agent(n)?, &BreakerKey::Agent, "transient", Duration::ZERO).await?,
            "after {n} agents"
        );
    }
    // Past failures do not count.
    store
        .connection()
        .execute_unprepared("UPDATE gates SET closed_until = 1 WHERE key = 'agent:agent_1'")
        .await?;
    trip(&store, &agent(3)?).await?;
    assert!(!store.trip_shared(&agent(3)?, &BreakerKey::Agent, "transient", Duration::ZERO).await?);
    trip(&store, &agent(4)?).await?;
    assert!(store.trip_shared(&agent(4)?, &BreakerKey::Agent, "transient", Duration::ZERO).await?);
    // Opened once, and not again by later failures.
    assert!(!store.trip_shared(&agent(4)?, &BreakerKey::Agent, "transient", Duration::ZERO).await?);
    assert!(matches!(store.admit(&[BreakerKey::Agent]).await?, Admit::NotBefore(_)));
    Ok(())
}

async fn an_unused_probe_is_released(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    trip(&store, &BreakerKey::Agent).await?;
    store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    let agent = [BreakerKey::Agent];
    assert_eq!(store.admit(&agent).await?, Admit::Now);
    assert!(matches!(store.admit(&agent).await?, Admit::NotBefore(_)), "two probes at a time");
    store.release_probe(&BreakerKey::Agent).await?;
    assert_eq!(store.admit(&agent).await?, Admit::Now);
    Ok(())
}

async fn breaker(store: &Store, key: &str) -> Result<Option<BreakerState>> {
    Ok(store.breaker_states().await?.into_iter().find(|state| state.key == key))
}

/// Waits until this breaker is open.
async fn opened(store: &Store, key: &str) -> Result<()> {
    wait::until(&format!("an open breaker {key}"), DEADLINE, async || {
        let now = store.now().await?;
        Ok(breaker(store, key).await?.filter(|state| state.closed_until > now).map(|_| ()))
    })
    .await
}

/// Every question to the tests' agent fails; its chats can be read.
fn failing() -> Fault {
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(0);
    Fault { agent: Some(AGENT.to_owned()), ..fault }
}

async fn a_failing_agent_does_not_affect_the_others(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let (second, token) = ("17841400000000002", "IGAAtest-token-of-acme2");
    relay.simulator.put_account(AccountSpec::new(second, "acme2", token));
    relay.simulator.put_agent("agent_second", AgentRule::default());
    let mut body = connect_body();
    body["instagramAccountId"] = json!(second);
    body["accessToken"] = json!(token);
    let path = "/api/database/acme/chat-agents/agent_second/instagram/connect";
    let connected = relay.rest.request("POST", path, Some(body.to_string().into_bytes()), &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);

    relay.simulator.add_fault(failing());
    for n in 0..6 {
        relay.simulator.say(ACCOUNT, &format!("20000000000000{n}"), "hello");
    }
    opened(&relay.store, &format!("agent:{AGENT}")).await?;
    relay.simulator.say(second, USER, "hello");
    let answered = |record: &Record| record.sends_to(second, USER).count() == 1;
    relay.simulator.wait_for("the other agent's answer", DEADLINE, answered).await?;
    assert_eq!(breaker(&relay.store, "agent").await?, None, "the provider as a whole does not fail");
    relay.end().await
}

/// A successful read says nothing about whether questions are answered.
async fn failing_completions_open_the_breaker_even_if_reads_succeed(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(failing());
    // One question is tried repeatedly; each time a read shows that it was not asked.
    relay.simulator.say(ACCOUNT, "200000000000009", "hello");
    let looked_up = |record: &Record| record.calls_of("retell.get_chat") >= 2;
    relay.simulator.wait_for("a question that is looked up twice", DEADLINE, looked_up).await?;
    for n in 0..5 {
        relay.simulator.say(ACCOUNT, &format!("20000000000001{n}"), "hello");
    }
    opened(&relay.store, &format!("agent:{AGENT}")).await?;
    relay.end().await
}

async fn a_first_message_probes_an_expired_breaker(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let fault = relay.simulator.add_fault(failing());
    // As many as it takes: one more in progress would open it again.
    for n in 0..5 {
        relay.simulator.say(ACCOUNT, &format!("20000000000001{n}"), "hello");
    }
    let key = format!("agent:{AGENT}");
    opened(&relay.store, &key).await?;
    relay.simulator.clear_faults(Some(fault));
    relay.store.connection().execute_unprepared("UPDATE gates SET closed_until = 1").await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    wait::until("an answer", DEADLINE, async || {
        // The worker may have rescheduled it by its state of the breaker a second ago.
        relay.store.connection().execute_unprepared("UPDATE chats SET turn_reserved_until = 0").await?;
        Ok((relay.sent(USER) == ["Answer to: hello"]).then_some(()))
    })
    .await?;
    wait::until("a breaker that is closed again", DEADLINE, async || {
        let state = breaker(&relay.store, &key).await?.context("the breaker")?;
        Ok((state.failures == 0).then_some(()))
    })
    .await?;
    relay.end().await
}
