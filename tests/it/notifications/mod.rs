//! Who is notified of what is wrong: by whom, how often, and what becomes of it.

mod delivery;
mod incidents;
mod targets;

use anyhow::{Context, Result};
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::Channel;
use dmrelay_simulator::TokenState;
use dmrelay_store::{NewTarget, Owner};
use dmrelay_tests::receiver::{Received, Receiver};
use dmrelay_tests::relay::Relay;
use dmrelay_tests::rest::{ACCOUNT, Answer, SUBACCOUNT};
use dmrelay_tests::wait::until;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);
const USER: &str = "200000000000001";

fn path(path: &str) -> String {
    format!("/api/database/{SUBACCOUNT}/{path}")
}

async fn call(relay: &Relay, method: &str, to: &str, body: Option<Value>) -> Result<Answer> {
    let body = body.map(|body| body.to_string().into_bytes());
    relay.rest.request(method, &path(to), body, &[]).await
}

/// Adds a target, and gives it.
async fn add(relay: &Relay, body: Value) -> Result<Value> {
    let answer = call(relay, "POST", "notification-targets", Some(body)).await?;
    anyhow::ensure!(answer.status == 201, "{} {}", answer.status, answer.text);
    Ok(answer.json)
}

async fn items(relay: &Relay, list: &str) -> Result<Vec<Value>> {
    let answer = call(relay, "GET", list, None).await?;
    anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.text);
    answer.json["items"].as_array().cloned().context("no items")
}

async fn set(relay: &Relay, sql: &str) -> Result<()> {
    relay.store.connection().execute_unprepared(sql).await?;
    Ok(())
}

/// What came to a path, once there are so many.
async fn received(receiver: &Receiver, path: &str, count: usize) -> Result<Vec<Received>> {
    until(&format!("{count} webhooks at {path}"), WITHIN, async || {
        let came = receiver.received_at(path);
        Ok((came.len() >= count).then_some(came))
    })
    .await
}

fn types(came: &[Received]) -> Vec<&str> {
    came.iter().map(|one| one.body["type"].as_str().unwrap_or_default()).collect()
}

/// The only notification, once it is in this state.
async fn notification(relay: &Relay, state: &str) -> Result<Value> {
    until(&format!("a notification that is {state}"), WITHIN, async || {
        let all = items(relay, "notifications").await?;
        Ok(all.into_iter().find(|one| one["state"] == state))
    })
    .await
}

/// Has what waits for its next attempt tried at once.
async fn hurry(relay: &Relay) -> Result<()> {
    set(relay, "UPDATE notifications SET due_at = 0").await
}

async fn reject_token(relay: &Relay) -> Result<()> {
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    let answer = relay.rest.post("check", json!({})).await?;
    anyhow::ensure!(answer.status == 200, "{}", answer.text);
    Ok(())
}

/// A target of the operator's, of everything.
async fn operators_target(relay: &Relay, url: &str) -> Result<()> {
    let new = NewTarget {
        id: NotificationTargetId::new(),
        owner: Owner::Operator,
        channel: Channel::Webhook,
        address: url.to_owned(),
        name: None,
        secret: None,
        kinds: None,
        resolved: true,
    };
    let made = relay.store.create_notification_target(new, 5, &"operator".into()).await?;
    made.map(|_| ()).context("too many targets")
}
