//! Graph failures: nothing is lost, and nothing is said twice.

use anyhow::Result;
use dmrelay_simulator::{
    AccountSpec, Act, Action, AgentRule, Echo, Fault, FaultMode, Operation, ReplyRule, Service, TokenState,
};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, TOKEN, connect_body};
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    a_lost_acceptance_is_found_by_its_echo,
    a_lost_acceptance_is_found_in_the_conversation,
    what_graph_calls_temporary_is_sent_again,
    a_lost_acceptance_is_found_in_a_conversation_with_half_an_emoji,
    a_reaction_before_the_mid_is_known_does_not_duplicate_the_message,
    a_permanently_unreadable_conversation_is_shown,
    a_send_that_did_not_arrive_is_repeated,
    an_error_after_the_effect_is_not_repeated,
    an_outage_costs_time_and_no_message,
    a_throttled_account_waits,
    an_invalid_token_parks_and_a_reconnect_delivers,
    a_closed_window_leads_to_a_dead_letter,
    a_failed_part_cancels_the_later_ones,
    courtesies_never_fail_a_turn,
);

const USER: &str = "200000000000001";

async fn answered_once(relay: Relay) -> Result<()> {
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello"]);
    let statuses: Vec<_> =
        relay.messages(USER).await?.iter().map(|m| (m["author"].clone(), m["status"].clone())).collect();
    assert_eq!(statuses, [(json!("user"), json!("received")), (json!("agent"), json!("sent"))]);
    relay.end().await
}

async fn a_lost_acceptance_is_found_by_its_echo(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    // The conversation cannot be read: only the echo shows the outcome.
    relay.simulator.add_fault(Fault::graph(Operation::Conversations, FaultMode::Before).status(500).times(0));
    answered_once(relay).await
}

async fn a_lost_acceptance_is_found_in_the_conversation(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::Never);
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    answered_once(relay).await
}

async fn a_lost_acceptance_is_found_in_a_conversation_with_half_an_emoji(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::Never);
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    relay.simulator.add_fault(Fault::graph(Operation::Conversation, FaultMode::HalfEmoji).times(0));
    relay.simulator.say(ACCOUNT, USER, "hello \u{1f600}");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello \u{1f600}"]);
    assert_eq!(relay.messages(USER).await?[1]["status"], "sent");
    relay.end().await
}

async fn what_graph_calls_temporary_is_sent_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for fault in [
        Fault::graph(Operation::Send, FaultMode::GraphError).code(100, Some(33)).transient(),
        Fault::graph(Operation::Send, FaultMode::GraphError).code(1_200, Some(2_018_024)),
    ] {
        relay.simulator.add_fault(fault);
    }
    answered_once(relay).await
}

async fn a_reaction_before_the_mid_is_known_does_not_duplicate_the_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::Never);
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let mid = relay.simulator.record(|record| record.sends[0].mid.clone());
    let reaction = Action::Reaction { mid, reaction: None, emoji: Some("👍".into()), unreact: false };
    relay.simulator.act(Act::new(ACCOUNT, USER, reaction));
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello"]);
    let messages = relay.messages(USER).await?;
    let reply = &messages[1];
    assert_eq!(
        (messages.len(), &reply["status"], &reply["metadata"]["reaction"]),
        (2, &json!("sent"), &json!("👍"))
    );
    relay.end().await
}

async fn a_permanently_unreadable_conversation_is_shown(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::Never);
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    let refused = Fault::graph(Operation::Conversations, FaultMode::GraphError).code(100, Some(33)).times(0);
    relay.simulator.add_fault(refused);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert_eq!(relay.store.dead_letter_counts().await?, [("ambiguous".to_owned(), 1)]);
    assert_eq!(relay.messages(USER).await?[1]["status"], "unknown");
    // The conversation continues.
    relay.simulator.say(ACCOUNT, USER, "still there?");
    assert_eq!(relay.replies(USER, 2).await?, ["Answer to: hello", "Answer to: still there?"]);
    relay.end().await
}

async fn a_send_that_did_not_arrive_is_repeated(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropBefore));
    answered_once(relay).await
}

async fn an_error_after_the_effect_is_not_repeated(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::Never);
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::After).code(1, Some(1_357_046)));
    answered_once(relay).await
}

async fn an_outage_costs_time_and_no_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let outage = relay.simulator.add_fault(Fault::new(Service::Graph, FaultMode::DropBefore).times(0));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let failing = |record: &dmrelay_simulator::Record| record.calls_of("graph.send") >= 1;
    relay.simulator.wait_for("an attempt", Duration::from_secs(20), failing).await?;
    relay.simulator.clear_faults(Some(outage));
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!(relay.sent(USER).len(), 1);
    relay.end().await
}

async fn a_throttled_account_waits(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let throttled =
        Fault::graph(Operation::Send, FaultMode::GraphError).code(80_002, None).header("retry-after", "1");
    relay.simulator.add_fault(throttled);
    answered_once(relay).await
}

async fn an_invalid_token_parks_and_a_reconnect_delivers(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.set_tokens(ACCOUNT, TokenState::Expired);
    relay.simulator.say(ACCOUNT, USER, "hello");
    let parked =
        dmrelay_tests::wait::until("the connection is parked", Duration::from_secs(10), async || {
            let status = relay.rest.get("status").await?;
            Ok((status.json["status"] == "reauth_required").then_some(status))
        });
    assert_eq!(parked.await?.json["statusReason"], "190/463");
    let mut body = connect_body();
    body["accessToken"] = json!(format!("{TOKEN}-new"));
    relay.simulator.put_account(AccountSpec::new(ACCOUNT, "acme", &format!("{TOKEN}-new")));
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}

async fn a_closed_window_leads_to_a_dead_letter(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(10, Some(2_534_022)));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert_eq!(relay.store.dead_letter_counts().await?, [("window_closed".to_owned(), 1)]);
    let reply = relay.messages(USER).await?.pop();
    let reply = reply.unwrap_or_default();
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!("failed"), &json!("10/2534022")));
    relay.end().await
}

async fn a_failed_part_cancels_the_later_ones(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let reply = ReplyRule::Texts { texts: vec!["one".into(), "two".into(), "three".into()] };
    relay.simulator.put_agent(AGENT, AgentRule { reply, ..AgentRule::default() });
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(551, None).skip(1));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["one"]);
    let statuses: Vec<_> = relay.messages(USER).await?.iter().map(|m| m["status"].clone()).collect();
    assert_eq!(statuses, ["received", "sent", "failed", "cancelled"]);
    relay.end().await
}

async fn courtesies_never_fail_a_turn(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::SenderAction, FaultMode::DropBefore).times(0));
    relay
        .simulator
        .add_fault(Fault::graph(Operation::Profile, FaultMode::GraphError).code(230, None).times(0));
    answered_once(relay).await
}
