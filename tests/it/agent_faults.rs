//! Agent failures: nothing is lost, and nothing is asked or said twice.

use anyhow::Result;
use dmrelay_simulator::{AgentRule, ChatStatus, Fault, FaultMode, Operation, ReplyRule, Service, UserTurn};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_lost_answer_is_found_and_not_asked_again,
    a_slow_answer_is_found_and_not_asked_again,
    a_question_that_did_not_arrive_is_asked_again,
    an_error_after_the_effect_is_reconciled,
    a_refusal_that_may_come_after_the_effect_is_reconciled,
    half_an_emoji_costs_that_character_and_no_answer,
    a_chat_that_takes_no_more_questions_is_replaced_whatever_the_refusal_says,
    a_refusal_in_a_chat_that_goes_on_is_final,
    an_outage_costs_time_and_no_message,
    a_throttled_agent_is_asked_again_after_its_delay,
    a_question_received_and_never_answered_is_shown,
    an_unknown_agent_leads_to_a_dead_letter,
    a_new_chat_that_cannot_be_opened_is_opened_later,
    messages_beyond_a_questions_limit_go_into_the_next_one,
);

const USER: &str = "200000000000001";

async fn answered_once(relay: Relay) -> Result<()> {
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello"]);
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}

async fn a_lost_answer_is_found_and_not_asked_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::DropAfter));
    answered_once(relay).await
}

async fn a_slow_answer_is_found_and_not_asked_again(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.agent.agent_timeout = Duration::from_millis(400))
            .await?;
    let slow = AgentRule { latency_ms: 700, user_turn: UserTurn::After, ..AgentRule::default() };
    relay.simulator.put_agent(AGENT, slow);
    answered_once(relay).await
}

async fn a_question_that_did_not_arrive_is_asked_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::DropBefore));
    answered_once(relay).await
}

async fn an_error_after_the_effect_is_reconciled(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::After).status(500));
    answered_once(relay).await
}

async fn a_refusal_that_may_come_after_the_effect_is_reconciled(backend: Backend) -> Result<()> {
    for status in [408, 409, 410, 499] {
        let relay = Relay::connected(backend, |_| {}).await?;
        relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::After).status(status));
        answered_once(relay).await?;
    }
    Ok(())
}

/// In the answer itself, in the record it is looked up in, and in what tools return.
async fn half_an_emoji_costs_that_character_and_no_answer(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let tool = |content: Value| json!({"role": "tool_call_result", "tool_call_id": "t", "content": content});
    let messages = vec![
        tool(json!("found \u{1f600}")),
        json!({"role": "agent", "content": {"odd": true}}),
        json!({"role": "agent", "content": "Good \u{1f600}"}),
        json!({"content": ["no role"]}),
        json!(null),
    ];
    relay
        .simulator
        .put_agent(AGENT, AgentRule { reply: ReplyRule::Raw { messages }, ..AgentRule::default() });
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::HalfEmoji));
    relay.simulator.say(ACCOUNT, USER, "one");
    assert_eq!(relay.replies(USER, 1).await?, ["Good \u{fffd}"]);
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::DropAfter));
    relay.simulator.add_fault(Fault::retell(Operation::GetChat, FaultMode::HalfEmoji).times(0));
    relay.simulator.say(ACCOUNT, USER, "two \u{1f600}");
    assert_eq!(relay.replies(USER, 2).await?[1], "Good \u{fffd}");
    relay.settled().await?;
    assert_eq!(relay.asked(), ["one", "two \u{1f600}"]);
    relay.end().await
}

/// The new chat is told what was said in the one before.
async fn a_chat_that_takes_no_more_questions_is_replaced_whatever_the_refusal_says(
    backend: Backend,
) -> Result<()> {
    for (status, code, message) in [
        (ChatStatus::Error, 400, "Chat is in error state"),
        (ChatStatus::Ended, 400, "This chat session is closed."),
        (ChatStatus::Ended, 410, "Gone"),
        (ChatStatus::Ended, 422, "Cannot find requested asset under given api key."),
    ] {
        let relay = Relay::connected(backend, |_| {}).await?;
        relay.simulator.say(ACCOUNT, USER, "Do you ship?");
        relay.replies(USER, 1).await?;
        let chat = relay.simulator.chats().remove(0).id;
        relay.simulator.set_chat_status(&chat, status);
        let refusal = Fault::retell(Operation::Completion, FaultMode::Before).status(code).message(message);
        relay.simulator.add_fault(refusal);
        relay.simulator.say(ACCOUNT, USER, "To Norway?");
        relay.replies(USER, 2).await?;
        relay.settled().await?;
        assert_eq!(relay.simulator.chats().len(), 2, "{message}");
        let told = "[Earlier in this conversation:\ncustomer: Do you ship?\nyou: Answer to: Do you ship?]\nTo Norway?";
        assert_eq!(relay.asked(), ["Do you ship?", told], "{message}");
        assert_eq!(relay.rest.get("chats").await?.json["items"][0]["chatStatus"], "ongoing");
        // Once it knows, it is not told again.
        relay.simulator.say(ACCOUNT, USER, "Thanks");
        relay.replies(USER, 3).await?;
        assert_eq!(relay.asked()[2], "Thanks");
        relay.end().await?;
    }
    Ok(())
}

async fn a_refusal_in_a_chat_that_goes_on_is_final(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let refusal = Fault::retell(Operation::Completion, FaultMode::Before).status(400);
    relay.simulator.add_fault(refusal.message("Invalid request format, please check API reference."));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert_eq!(relay.store.dead_letter_counts().await?, [("invalid".to_owned(), 1)]);
    assert_eq!(relay.simulator.chats().len(), 1);
    relay.end().await
}

async fn an_outage_costs_time_and_no_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let outage =
        relay.simulator.add_fault(Fault::new(Service::Retell, FaultMode::Before).status(503).times(0));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let failing = |record: &dmrelay_simulator::Record| record.calls_of("retell.create_chat") >= 2;
    relay.simulator.wait_for("two attempts", Duration::from_secs(20), failing).await?;
    relay.simulator.clear_faults(Some(outage));
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    assert!(relay.store.dead_letter_counts().await?.is_empty());
    relay.end().await
}

async fn a_throttled_agent_is_asked_again_after_its_delay(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let throttled =
        Fault::retell(Operation::Completion, FaultMode::Before).status(429).header("retry-after", "1");
    relay.simulator.add_fault(throttled);
    answered_once(relay).await
}

async fn a_question_received_and_never_answered_is_shown(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Partial));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert!(relay.sent(USER).is_empty());
    assert_eq!(relay.store.dead_letter_counts().await?, [("ambiguous".to_owned(), 1)]);
    // The conversation continues.
    relay.simulator.say(ACCOUNT, USER, "still there?");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: still there?"]);
    relay.end().await
}

async fn a_new_chat_that_cannot_be_opened_is_opened_later(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.agent_history = 0).await?;
    relay.simulator.put_agent(AGENT, AgentRule { ends_chat: true, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "first");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    relay.simulator.add_fault(Fault::retell(Operation::CreateChat, FaultMode::Before).status(503));
    relay.simulator.say(ACCOUNT, USER, "second");
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    assert_eq!(relay.asked(), ["first", "second"]);
    assert!(relay.store.dead_letter_counts().await?.is_empty());
    relay.end().await
}

async fn messages_beyond_a_questions_limit_go_into_the_next_one(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.debounce_ms = 1_500).await?;
    for n in 0..60 {
        relay.simulator.say(ACCOUNT, USER, format!("m{n:02}"));
    }
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    let asked: Vec<usize> = relay.asked().iter().map(|text| text.lines().count()).collect();
    assert_eq!(asked, [50, 10]);
    relay.end().await
}

async fn an_unknown_agent_leads_to_a_dead_letter(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.retell.any_agent = false);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert_eq!(relay.store.dead_letter_counts().await?, [("invalid".to_owned(), 1)]);
    relay.end().await
}
