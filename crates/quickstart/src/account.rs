//! The demo account, connected through the REST API as a frontend would do it.

use crate::embedded::System;
use anyhow::{Context as _, anyhow};
use dmrelay_app::CONNECT_TIMEOUT;
use dmrelay_domain::secret::Secret;
use dmrelay_runtime::http::{Answer, Call, Client, Method};
use dmrelay_runtime::metrics::{Metrics, Process};
use dmrelay_simulator::{AccountSpec, Person, Simulator, UnlinkedPage};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub(crate) const SUBACCOUNT: &str = "demo";
pub(crate) const AGENT: &str = "agent_demo";
/// The agent of accounts that are connected by a click.
pub(crate) const SECOND_AGENT: &str = "agent_second";
pub(crate) const ACCOUNT: &str = "17841400000000001";
pub(crate) const USERNAME: &str = "dmrelay_demo";

/// A new customer per start: a human may have taken over the chats of earlier ones.
pub(crate) fn new_customer() -> String {
    format!("2{:014}", rand::random_range(0..100_000_000_000_000_u64))
}

/// Gives a customer a name and a face.
pub(crate) fn introduce(simulator: &Simulator, customer: &str) {
    const NAMES: [&str; 6] =
        ["Ada Novak", "Ben Okafor", "Carla Rossi", "Dana Levi", "Emil Berg", "Fatma Demir"];
    let name = NAMES[customer.bytes().map(usize::from).sum::<usize>() % NAMES.len()];
    let person = Person {
        name: Some(name.to_owned()),
        username: name.to_lowercase().replace(' ', "."),
        profile_pic: Some(simulator.medium_url("face")),
        unavailable: false,
        profile_hidden: false,
        standby: false,
    };
    simulator.set_person(ACCOUNT, customer, person);
}

/// Registers the account with the simulated Meta and connects it. Later starts renew the existing connection.
pub(crate) async fn connect(system: &System) -> anyhow::Result<()> {
    system.simulator.put_account(AccountSpec::new(ACCOUNT, USERNAME, &system.keys.access_token));
    let body = json!({
        "accessToken": system.keys.access_token,
        "instagramAccountId": ACCOUNT,
        "webhookVerificationToken": system.keys.verify_token,
    });
    let answer = call(system, (AGENT, "connect"), Method::POST, Some(body)).await?;
    if answer.is_success() {
        return Ok(());
    }
    let problem = answer.json().unwrap_or(Value::Null);
    Err(anyhow!("cannot connect the demo account: {problem}"))
}

/// Further accounts that can be connected by logging in: one with Instagram Login, two with a Facebook Page, and a Page without one.
pub(crate) fn offer_others(simulator: &Simulator) {
    simulator.put_account(AccountSpec::new("17841400000000002", "dmrelay_bakery", "IGAA-of-the-bakery"));
    for (id, name, page) in [
        ("17841400000000003", "dmrelay_bikes", "104508901353867"),
        ("17841400000000004", "dmrelay_books", "104508901353868"),
    ] {
        simulator.put_account(AccountSpec::new(id, name, &format!("EAA-of-{name}")).facebook_login(page));
    }
    let page = UnlinkedPage { id: "104508901353869".to_owned(), name: "A Page without Instagram".to_owned() };
    simulator.configure(|settings| settings.login.unlinked_pages = vec![page]);
}

/// A link with which a person connects an account.
pub(crate) async fn link_to_connect(system: &System, login: &str) -> anyhow::Result<String> {
    let body = json!({ "loginKind": login });
    let answer = call(system, (SECOND_AGENT, "connect-sessions"), Method::POST, Some(body)).await?;
    let json = answer.json().unwrap_or(Value::Null);
    json["url"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("no link to connect an account: {json}"))
}

/// The messages of the chat, newest first.
pub(crate) async fn messages(system: &System) -> anyhow::Result<Vec<Value>> {
    let answer = call(system, (AGENT, "messages"), Method::GET, None).await?;
    let json = answer.json().context("the message list is not JSON")?;
    Ok(json["items"].as_array().cloned().unwrap_or_default())
}

/// Base path of the agent's calls.
pub(crate) fn base(system: &System) -> String {
    base_of(system, AGENT)
}

fn base_of(system: &System, agent: &str) -> String {
    format!("http://{}/api/database/{SUBACCOUNT}/chat-agents/{agent}/instagram", system.address)
}

async fn call(
    system: &System,
    (agent, path): (&str, &str),
    method: Method,
    json: Option<Value>,
) -> anyhow::Result<Answer> {
    let metrics = Arc::new(Metrics::new(Process::Command)?);
    let client = Client::new(CONNECT_TIMEOUT, metrics).map_err(|err| anyhow!(err))?;
    let url = Url::parse(&format!("{}/{path}", base_of(system, agent)))?;
    let call = Call {
        method,
        bearer: Some(Secret::new(system.keys.api_key.clone())),
        json,
        ..Call::get(("self", "demo"), url, Duration::from_secs(30))
    };
    Ok(client.send(call).await?)
}
