//! `cargo run`, as its binary: what it shows, what it refuses, and what it remembers.

use anyhow::{Context, Result, ensure};
use dmrelay_tests::browser;
use dmrelay_tests::port::Port;
use dmrelay_tests::process::Process;
use dmrelay_tests::rest::Rest;
use dmrelay_tests::wait::until;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(40);
const BASE: &str = "/api/database/demo/chat-agents/agent_demo/instagram";

/// Starts it on these ports, with its data in this folder.
fn start(folder: &Path, (api, simulator): (&Port, &Port), args: &[&str], log: &str) -> Result<Process> {
    let data = folder.join("data");
    let data = data.to_str().context("a path that is no text")?;
    let env = [
        ("API_ADDR".to_owned(), format!("127.0.0.1:{}", api.number)),
        ("SIMULATOR_ADDR".to_owned(), format!("127.0.0.1:{}", simulator.number)),
    ];
    Process::start("dmrelay", &[&["--data", data], args].concat(), &env, folder.join(log))
}

/// A client with the key of the demo.
fn client(folder: &Path, api: &Port) -> Result<Rest> {
    let keys: Value = serde_json::from_slice(&std::fs::read(folder.join("data/keys.json"))?)?;
    let address: SocketAddr = format!("127.0.0.1:{}", api.number).parse()?;
    Ok(Rest::new(address)?.with_key(keys["apiKey"].as_str()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yesterdays_customer_can_be_answered_after_a_restart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (api, simulator) = (Port::reserve()?, Port::reserve()?);
    let ports = (&api, &simulator);
    let mut first = start(folder.path(), ports, &["--once"], "first.log")?;
    let ended = first.ended(WITHIN).await?;
    ensure!(ended.success() && first.output().contains("Answered in"), "{}", first.output());
    let second = start(folder.path(), ports, &[], "second.log")?;
    until("the second start", WITHIN, async || Ok(second.output().contains("Ctrl-C ends it").then_some(())))
        .await?;
    let rest = client(folder.path(), &api)?;
    let chats = async || rest.request("GET", &format!("{BASE}/chats"), None, &[]).await;
    let list = chats().await?.json;
    assert_eq!(list["total"], 2, "one of each start: {list}");
    let customer = list["items"][1]["instagramUserId"].as_str().context("no customer")?.to_owned();
    // A human writes to the customer of the first start, and the simulated Meta still knows them.
    let message = json!({"instagramUserId": customer, "message": "We are open from ten to four."})
        .to_string()
        .into_bytes();
    let sent = rest.request("POST", &format!("{BASE}/send"), Some(message), &[]).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let last = until("the message is sent", WITHIN, async || {
        let list = chats().await?.json;
        let chat =
            list["items"].as_array().into_iter().flatten().find(|chat| chat["instagramUserId"] == customer);
        let last = chat.map(|chat| chat["lastMessage"].clone()).unwrap_or_default();
        Ok((last["author"] == "human" && last["status"] != "queued" && last["status"] != "sending")
            .then_some(last))
    })
    .await?;
    assert_eq!(last["status"], "sent", "{last}\n{}", second.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_sets_by_itself_is_refused_as_a_flag() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (api, simulator) = (Port::reserve()?, Port::reserve()?);
    let args = ["--retell-url", "http://127.0.0.1:1"];
    let mut refused = start(folder.path(), (&api, &simulator), &args, "refused.log")?;
    assert_eq!(refused.ended(WITHIN).await?.code(), Some(2));
    assert!(
        refused.output().contains("--retell-url is set by the quick start itself"),
        "{}",
        refused.output()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_plays_the_customer_in_a_browser() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (api, simulator) = (Port::reserve()?, Port::reserve()?);
    let quick = start(folder.path(), (&api, &simulator), &[], "browser.log")?;
    let links = until("the links", WITHIN, async || {
        let output = quick.output();
        let ready = output.contains("Ctrl-C ends it");
        let word = |part: &str| output.split_whitespace().find(|word| word.contains(part)).map(str::to_owned);
        let links = word("/console/enter?code=").zip(word("/api/docs/#key="));
        Ok(links.filter(|_| ready))
    })
    .await?;
    let (link, docs) = links;
    let given = json!({ "link": link, "docs": docs });
    let seen: Value = serde_json::from_slice(&browser::run("demo.mjs", &given).await?)?;
    assert_eq!(seen["complaints"], json!([]));
    println!("live messages took {} ms", seen["lately"]);
    Ok(())
}
