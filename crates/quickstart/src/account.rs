//! The demo account, connected through the REST API as a frontend would do it.

use crate::embedded::System;
use anyhow::{Context as _, anyhow};
use dmrelay_app::CONNECT_TIMEOUT;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{Answer, Call, Client, Method};
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_simulator::AccountSpec;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub(crate) const SUBACCOUNT: &str = "demo";
pub(crate) const AGENT: &str = "agent_demo";
pub(crate) const ACCOUNT: &str = "17841400000000001";
pub(crate) const USERNAME: &str = "dmrelay_demo";

/// A new customer per start: a human may have taken over the chats of earlier ones.
pub(crate) fn new_customer() -> String {
    format!("2{:014}", rand::random_range(0..100_000_000_000_000_u64))
}

/// Registers the account with the simulated Meta and connects it. Later starts renew the existing connection.
pub(crate) async fn connect(system: &System) -> anyhow::Result<()> {
    system.simulator.put_account(AccountSpec::new(ACCOUNT, USERNAME, &system.keys.access_token));
    let body = json!({
        "accessToken": system.keys.access_token,
        "instagramAccountId": ACCOUNT,
        "webhookVerificationToken": system.keys.verify_token,
    });
    let answer = call(system, Method::POST, "connect", Some(body)).await?;
    if answer.is_success() {
        return Ok(());
    }
    let problem = answer.json().unwrap_or(Value::Null);
    Err(anyhow!("cannot connect the demo account: {problem}"))
}

/// The messages of the chat, newest first.
pub(crate) async fn messages(system: &System) -> anyhow::Result<Vec<Value>> {
    let answer = call(system, Method::GET, "messages", None).await?;
    let json = answer.json().context("the message list is not JSON")?;
    Ok(json["items"].as_array().cloned().unwrap_or_default())
}

/// Base path of the agent's calls.
pub(crate) fn base(system: &System) -> String {
    format!("http://{}/api/database/{SUBACCOUNT}/chat-agents/{AGENT}/instagram", system.address)
}

async fn call(system: &System, method: Method, path: &str, json: Option<Value>) -> anyhow::Result<Answer> {
    let metrics = Arc::new(Metrics::new(Process::Command)?);
    let client = Client::new(CONNECT_TIMEOUT, metrics).map_err(|err| anyhow!(err))?;
    let call = Call {
        service: "self",
        operation: "demo",
        method,
        url: Url::parse(&format!("{}/{path}", base(system)))?,
        bearer: Some(Secret::new(system.keys.api_key.clone())),
        json,
        headers: Vec::new(),
        timeout: Duration::from_secs(30),
    };
    Ok(client.send(call).await?)
}
