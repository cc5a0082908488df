//! An account is given to another agent: its conversations go on with that one.

use anyhow::Result;
use dmrelay_simulator::{AgentRule, ReplyRule, TokenState};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, agent_path, connect_body, text_webhook};
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    conversations_go_on_with_the_other_agent,
    an_agent_of_others_gets_no_account,
    an_account_keeps_the_address_of_its_webhooks,
);

const USER: &str = "200000000000001";
const OTHER: &str = "agent_other";

fn path(agent: &str, call: &str) -> String {
    agent_path(call).replace(AGENT, agent)
}

async fn transfer(relay: &Relay, from: &str, to: &str) -> Result<Answer> {
    let body = json!({"toAgentId": to}).to_string().into_bytes();
    relay.rest.request("POST", &path(from, "transfer"), Some(body), &[]).await
}

async fn conversations_go_on_with_the_other_agent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let texts = |text: &str| ReplyRule::Texts { texts: vec![text.to_owned()] };
    relay.simulator.put_agent(AGENT, AgentRule { reply: texts("I am the first"), ..AgentRule::default() });
    let slow = AgentRule { reply: texts("I am the other"), latency_ms: 500, ..AgentRule::default() };
    relay.simulator.put_agent(OTHER, slow);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let moved = transfer(&relay, AGENT, OTHER).await?;
    assert_eq!((moved.status, &moved.json["agentId"]), (200, &json!(OTHER)), "{}", moved.text);
    // It is found there now, and only there.
    assert_eq!(relay.rest.get("status").await?.status, 404);
    let there = relay.rest.request("GET", &path(OTHER, "status"), None, &[]).await?.json;
    assert_eq!(
        (&there["status"], &there["connectionId"]),
        (&json!("connected"), &moved.json["connectionId"])
    );
    relay.simulator.say(ACCOUNT, USER, "and who are you?");
    assert_eq!(relay.replies(USER, 2).await?, ["I am the first", "I am the other"]);
    let asked = relay.asked();
    assert_eq!(
        asked[1], "[Earlier in this conversation:\ncustomer: hello\nyou: I am the first]\nand who are you?",
        "{asked:?}"
    );
    // A question under way is answered by the agent that was asked; the next one by the first agent again, in a new chat.
    relay.simulator.say(ACCOUNT, USER, "back?");
    relay
        .simulator
        .wait_for("it is asked", Duration::from_secs(20), |record| record.completions.len() == 3)
        .await?;
    assert_eq!(transfer(&relay, OTHER, AGENT).await?.status, 200);
    relay.replies(USER, 3).await?;
    relay.settled().await?;
    relay.simulator.say(ACCOUNT, USER, "there?");
    let sent = relay.replies(USER, 4).await?;
    assert_eq!(sent[2..], ["I am the other", "I am the first"]);
    let told = relay.rest.get("activities?kind=INSTAGRAM_AGENT_CHANGED").await?.json;
    assert_eq!((&told["total"], &told["items"][0]["details"]["to"]), (&json!(2), &json!(AGENT)), "{told}");
    relay.end().await
}

async fn an_agent_of_others_gets_no_account(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_account(dmrelay_simulator::AccountSpec::new(
        "17841400000000002",
        "theirs",
        "IGAAtheirs",
    ));
    let mut body = connect_body();
    body["instagramAccountId"] = json!("17841400000000002");
    body["accessToken"] = json!("IGAAtheirs");
    let theirs = "/api/database/others/chat-agents/agent_theirs/instagram/connect";
    let connected = relay.rest.request("POST", theirs, Some(body.to_string().into_bytes()), &[]).await?;
    assert_eq!(connected.status, 201, "{}", connected.text);
    let refused = transfer(&relay, AGENT, "agent_theirs").await?;
    assert_eq!(
        (refused.status, &refused.json["type"]),
        (403, &json!("urn:dmrelay:problem:agent-not-assigned"))
    );
    let odd = transfer(&relay, AGENT, "a b").await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["pointer"]), (422, &json!("/toAgentId")));
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    relay.rest.post("disconnect", json!({})).await?;
    assert_eq!(transfer(&relay, AGENT, OTHER).await?.status, 409);
    relay.end().await
}

async fn an_account_keeps_the_address_of_its_webhooks(backend: Backend) -> Result<()> {
    const OWN: &str = "secret-of-the-accounts-own-app";
    let relay = Relay::start(backend, |_| {}).await?;
    let mut body = connect_body();
    body["appSecret"] = json!(OWN);
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    assert_eq!(transfer(&relay, AGENT, OTHER).await?.status, 200);
    let webhook = text_webhook(ACCOUNT, USER, "m-own", "still here?");
    let former = relay.rest.webhook(&agent_path("webhook"), &webhook, OWN).await?;
    assert_eq!(former.status, 200, "{}", former.text);
    let handshake = format!(
        "{}?hub.mode=subscribe&hub.verify_token=own-verify-token&hub.challenge=7",
        agent_path("webhook")
    );
    assert_eq!(relay.rest.request("GET", &handshake, None, &[]).await?.text, "7");
    relay.settled().await?;
    assert_eq!(relay.asked(), ["still here?"]);
    // Not at the address of another subaccount, nor with another secret.
    let strange = "/api/database/others/chat-agents/agent_acme/instagram/webhook";
    assert_eq!(relay.rest.webhook(strange, &webhook, OWN).await?.status, 403);
    let unsigned = relay.rest.webhook(&agent_path("webhook"), &webhook, "another-secret-of-nobody").await?;
    assert_eq!(unsigned.status, 403);
    relay.end().await
}
