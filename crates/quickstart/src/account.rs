//! The demo account, connected through the REST API as a frontend would.

use crate::embedded::System;
use anyhow::{Context as _, anyhow};
use dmrelay_app::CONNECT_TIMEOUT;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{Answer, Call, Client, Method};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_simulator::AccountSpec;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub(crate) const SUBACCOUNT: &str = "demo";
pub(crate) const AGENT: &str = "agent_demo";
pub(crate) const ACCOUNT: &str = "17841400000000001";
pub(crate) const USERNAME: &str = "dmrelay_demo";

/// A customer of this start: in the chats of earlier ones a person may have taken over.
pub(crate) fn new_customer() -> String {
    format!("2{:014}", rand::random_range(0..100_000_000_000_000_u64))
}

/// Makes the account known to the simulated Meta, and connects it. At a later start this renews the
/// connection that the database has.
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
    Err(anyhow!("the demo account cannot be connected: {problem}"))
}

/// The messages of the chat, newest first.
pub(crate) async fn messages(system: &System) -> anyhow::Result<Vec<Value>> {
    let answer = call(system, Method::GET, "messages", None).await?;
    let json = answer.json().context("the list of messages is not JSON")?;
    Ok(json["items"].as_array().cloned().unwrap_or_default())
}

/// Where the agent's calls are.
pub(crate) fn base(system: &System) -> String {
    format!("http://{}/api/database/{SUBACCOUNT}/chat-agents/{AGENT}/instagram", system.address)
}

async fn call(system: &System, method: Method, path: &str, json: Option<Value>) -> anyhow::Result<Answer> {
    let metrics = Arc::new(Metrics::new("quickstart")?);
    let client = Client::new(CONNECT_TIMEOUT, metrics).map_err(|err| anyhow!(err))?;
    let call = Call {
        service: "self",
        operation: "demo",
        method,
        url: Url::parse(&format!("{}/{path}", base(system)))?,
        bearer: Some(Secret::new(system.keys.api_key.clone())),
        json,
        timeout: Duration::from_secs(30),
    };
    Ok(client.send(call).await?)
}
