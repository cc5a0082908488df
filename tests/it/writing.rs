//! Replies that come as if somebody were writing them.

use anyhow::{Context, Result, ensure};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use serde_json::json;

on_both_backends!(a_reply_takes_as_long_as_somebody_would_write_it);

const USER: &str = "200000000000001";

async fn a_reply_takes_as_long_as_somebody_would_write_it(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let settings = json!({ "writingMsPerCharacter": 100 }).to_string().into_bytes();
    let path = dmrelay_tests::rest::agent_path("settings");
    let changed = relay.rest.request("PATCH", &path, Some(settings), &[]).await?;
    ensure!(changed.status == 200, "{}", changed.text);
    assert_eq!(changed.json["effective"]["writingMsPerCharacter"], json!(100), "{}", changed.text);
    relay.simulator.say(ACCOUNT, USER, "hello");
    // "Answer to: hello" has 16 characters.
    relay.replies(USER, 1).await?;
    let messages = relay.messages(USER).await?;
    let reply = messages.iter().find(|one| one["author"] == "agent").context("no reply")?;
    let answered = reply["createdAt"].as_str().context("createdAt")?;
    let answered = dmrelay_views::parse_time(answered).map_err(anyhow::Error::msg)?;
    let (created, sent, typed) = relay.simulator.record(|record| {
        let asked = record.completions[0].at;
        let sent = record.sends_to(ACCOUNT, USER).next().map(|sent| sent.at).unwrap_or_default();
        let typed = record
            .sender_actions
            .iter()
            .filter(|one| one.action == "typing_on" && (answered..sent).contains(&one.at))
            .count();
        (asked, sent, typed)
    });
    assert!(sent - created >= 1_600, "sent {} ms after the question: {reply}", sent - created);
    assert!(typed >= 1, "nobody saw that it was being written");
    relay.end().await
}
