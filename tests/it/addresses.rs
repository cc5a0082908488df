//! Addresses in the console: of a message, and of an account with its settings.

use anyhow::{Context, Result};
use dmrelay_tests::console::Person;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, KEY};
use dmrelay_tests::wait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(a_message_has_an_address, an_account_and_its_settings_have_an_address);

const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";
const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

async fn a_message_has_an_address(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    for n in 0..150 {
        relay.simulator.say(ACCOUNT, USER, format!("number {n}"));
    }
    relay.simulator.say(ACCOUNT, OTHER, "hello");
    let all = wait::until("all messages", Duration::from_secs(30), async || {
        let list = relay.rest.get("messages?limit=200").await?;
        Ok(list.json["items"].as_array().filter(|all| all.len() == 151).cloned())
    })
    .await?;
    // The list is newest first: this one is on no first page.
    let theirs: Vec<_> = all.iter().filter(|one| one["instagramUserId"] == USER).collect();
    let far = theirs.get(90).context("no message")?;
    let id = far["messageId"].as_str().context("no id")?;
    let chat = far["chatId"].as_str().context("no chat")?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let bubble = format!("id=\"m-{id}\"");
    let (_, usual, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(!usual.contains(&bubble) && usual.contains("id=\"m-"), "{usual}");
    let (status, _, to) = person.get(&format!("/console/messages/{id}")).await?;
    assert_eq!((status, to), (303, format!("/console/inbox?chat={chat}&message={id}#m-{id}")));
    let (status, page, _) = person.get(&format!("/console/inbox?chat={chat}&message={id}")).await?;
    assert_eq!((status, page.matches(&bubble).count()), (200, 1), "{page}");
    // With some that came before it, and not the whole conversation.
    assert_eq!(page.matches("id=\"m-").count(), 91 + 25);
    // The trace of a message tells the address.
    let (_, trace) = person.fragment(&format!("/console/chats/{chat}/trace?message={id}")).await?;
    assert!(trace.contains(&format!("/console/messages/{id}")), "{trace}");
    let elsewhere = all.iter().find(|one| one["text"] == "hello").context("no message")?;
    let elsewhere = elsewhere["messageId"].as_str().context("no id")?;
    for address in [
        format!("/console/messages/{UNKNOWN}"),
        format!("/console/inbox?chat={chat}&message={UNKNOWN}"),
        format!("/console/inbox?chat={chat}&message={elsewhere}"),
    ] {
        assert_eq!(person.get(&address).await?.0, 404, "{address}");
    }
    relay.end().await
}

async fn an_account_and_its_settings_have_an_address(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let status = relay.rest.get("status").await?.json;
    let id = status["connectionId"].as_str().context("no id")?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let address = format!("/console/accounts/{id}");
    let (_, list, _) = person.get("/console/accounts").await?;
    assert!(list.contains(&format!("href=\"{address}\"")), "{list}");
    let is_open = |page: &str| page.contains("<details class=\"settings\" open");
    assert!(!is_open(&list), "{list}");
    let (code, page, _) = person.get(&address).await?;
    assert!(code == 200 && is_open(&page) && page.contains("href=\"/console/accounts\""), "{code} {page}");
    // As the page is kept live.
    let (code, cards) = person.fragment(&format!("/console/accounts?part=list&account={id}")).await?;
    assert!(code == 200 && is_open(&cards), "{code} {cards}");
    assert_eq!(person.get(&format!("/console/accounts/{UNKNOWN}")).await?.0, 404);
    relay.end().await
}
