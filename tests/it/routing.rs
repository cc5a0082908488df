//! Conversations of which another app is the owner: shown, taken, released, and escalated to the Instagram inbox.

use anyhow::{Context, Result};
use dmrelay_simulator::{Fault, FaultMode, Operation, Person};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use serde_json::{Value, json};

on_both_backends!(a_conversation_is_taken_released_and_escalated);

const USER: &str = "200000000000001";

fn of_another_app(relay: &Relay, is_theirs: bool) -> Result<()> {
    let person: Person =
        serde_json::from_value(json!({"name": null, "username": "anna", "standby": is_theirs}))?;
    relay.simulator.set_person(ACCOUNT, USER, person);
    Ok(())
}

async fn chat(relay: &Relay) -> Result<Value> {
    let chats = relay.rest.get("chats").await?.json;
    chats["items"].as_array().and_then(|chats| chats.first().cloned()).context("no chat")
}

async fn a_conversation_is_taken_released_and_escalated(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let id = chat(&relay).await?["chatId"].as_str().context("no id")?.to_owned();
    let thread = format!("chats/{id}/thread");
    assert_eq!(relay.rest.get(&thread).await?.json["owner"], "this_app");
    of_another_app(&relay, true)?;
    relay.simulator.say(ACCOUNT, USER, "to another app");
    relay.settled().await?;
    let theirs = relay.rest.get(&thread).await?.json;
    assert_eq!((&theirs["owner"], theirs["appId"].is_string()), (&json!("other_app"), true), "{theirs}");
    // An app cannot release a conversation that it does not have.
    assert_eq!(relay.rest.post(&thread, json!({"action": "release"})).await?.status, 422);
    let taken = relay.rest.post(&thread, json!({"action": "take"})).await?;
    assert_eq!((taken.status, &taken.json["owner"]), (200, &json!("this_app")), "{}", taken.text);
    relay.simulator.say(ACCOUNT, USER, "to us again");
    relay.replies(USER, 2).await?;
    // To people in the Instagram app: the agent falls silent.
    let escalated = relay.rest.post(&thread, json!({"action": "escalate"})).await?;
    assert_eq!(
        (escalated.status, &escalated.json["owner"]),
        (200, &json!("instagram_inbox")),
        "{}",
        escalated.text
    );
    assert_eq!(chat(&relay).await?["mode"], "human");
    relay.simulator.say(ACCOUNT, USER, "is somebody there?");
    relay.settled().await?;
    let last = relay.messages(USER).await?.pop().context("no message")?;
    assert_eq!(last["reason"], "standby", "{last}");
    assert_eq!(relay.sent(USER).len(), 2);
    for (body, status) in [(json!({"action": "steal"}), 422), (json!({}), 422)] {
        assert_eq!(relay.rest.post(&thread, body).await?.status, status);
    }
    // Where Meta does not allow it, nothing changes here.
    relay.rest.post(&format!("chats/{id}/release"), json!({})).await?;
    relay.simulator.add_fault(Fault::graph(Operation::PassThread, FaultMode::GraphError).code(10, None));
    let refused = relay.rest.post(&thread, json!({"action": "escalate"})).await?;
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (422, &json!("urn:dmrelay:problem:missing-permission"))
    );
    assert_eq!(chat(&relay).await?["mode"], "bot");
    relay.end().await
}
