//! A chat is returned to the agent: what a human answered meanwhile stays answered.

use anyhow::{Context, Result};
use dmrelay_simulator::{AgentRule, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use dmrelay_tests::wait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    messages_answered_by_a_human_stay_answered_after_a_release,
    a_waiting_question_is_not_asked_after_a_human_answered,
);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(10);

/// A relay whose agent has answered once; also returns the chat.
async fn greeted(backend: Backend) -> Result<(Relay, String)> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let message = relay.messages(USER).await?.pop().context("no message")?;
    let chat = message["chatId"].as_str().context("no chatId")?.to_owned();
    Ok((relay, chat))
}

async fn release(relay: &Relay, chat: &str) -> Result<()> {
    let answer = relay.rest.post(&format!("chats/{chat}/release"), json!({})).await?;
    anyhow::ensure!(answer.status == 200, "release: {} {}", answer.status, answer.text);
    Ok(())
}

async fn messages_answered_by_a_human_stay_answered_after_a_release(backend: Backend) -> Result<()> {
    let (relay, chat) = greeted(backend).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 1_000, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "are you open?");
    let asked = |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == 2;
    relay.simulator.wait_for("the question", DEADLINE, asked).await?;
    let sent = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Yes, Ada"})).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    // Released before the agent has answered.
    release(&relay, &chat).await?;
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "Yes, Ada"]);
    // Later messages are the agent's.
    relay.simulator.put_agent(AGENT, AgentRule::default());
    relay.simulator.say(ACCOUNT, USER, "thanks");
    assert_eq!(relay.replies(USER, 3).await?.len(), 3);
    relay.end().await
}

async fn a_waiting_question_is_not_asked_after_a_human_answered(backend: Backend) -> Result<()> {
    let (relay, chat) = greeted(backend).await?;
    let fault = Fault::retell(Operation::Completion, FaultMode::Before)
        .status(429)
        .times(0)
        .header("retry-after", "1");
    let fault = relay.simulator.add_fault(fault);
    relay.simulator.say(ACCOUNT, USER, "are you open?");
    wait::until("a turn that waits", DEADLINE, async || {
        let detail = relay.rest.get(&format!("chats/{chat}")).await?;
        let turns = detail.json["turns"].as_array().cloned().unwrap_or_default();
        Ok(turns.iter().any(|turn| turn["state"] == json!("waiting")).then_some(()))
    })
    .await?;
    relay.rest.post("send", json!({"instagramUserId": USER, "message": "Yes, Ada"})).await?;
    relay.replies(USER, 2).await?;
    release(&relay, &chat).await?;
    relay.simulator.clear_faults(Some(fault));
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "Yes, Ada"]);
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}
