//! Meta takes an account's token back, for hours; its owner logs in again. What came meanwhile is answered in order as far as Meta's
//! window allows; the rest is told, and nothing is lost.

use anyhow::{Context, Result};
use dmrelay_simulator::{AccountSpec, Act, Action, AgentRule, TokenState};
use dmrelay_tests::login::{Person, RETURN, begin};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use dmrelay_tests::wait::until;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    messages_wait_for_a_new_token_with_instagram_login,
    messages_wait_for_a_new_token_with_facebook_login,
);

const PAGED: &str = "17841400000000003";
const PAGE: &str = "104508901353867";
const HOUR_MS: i64 = 3_600_000;
const WITHIN: Duration = Duration::from_secs(20);

/// Their answers are written when the token ends, and not sent.
const ANSWERED_LATE: &str = "200000000000011";
const ANSWERED: &str = "200000000000012";
/// The agent has not been asked about theirs.
const ASKED_LATE: &str = "200000000000013";
const ASKED: &str = "200000000000014";

async fn messages_wait_for_a_new_token_with_instagram_login(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    messages_wait(&relay, ACCOUNT, "instagram").await?;
    relay.end().await
}

async fn messages_wait_for_a_new_token_with_facebook_login(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    relay.simulator.put_account(AccountSpec::new(PAGED, "acme_page", "EAAtoken").facebook_login(PAGE));
    messages_wait(&relay, PAGED, "facebook").await?;
    relay.end().await
}

async fn log_in(relay: &Relay, account: &str, login: &str) -> Result<()> {
    let body = json!({"loginKind": login, "instagramAccountId": account, "returnUrl": RETURN});
    let begun = begin(&relay.rest, body).await?;
    assert_eq!(Person::new()?.allow(&begun, &[account]).await?.outcome().0, "connected");
    Ok(())
}

/// A customer writes, so many hours ago.
fn write(relay: &Relay, account: &str, user: &str, text: &str, hours_ago: i64) {
    let mut act = Act::new(account, user, Action::text(text));
    act.timestamp = Some(relay.simulator.now_ms() - hours_ago * HOUR_MS);
    relay.simulator.act(act);
}

/// Hours pass, for the database and for Meta.
async fn hours_pass(relay: &Relay, hours: i64) -> Result<()> {
    relay.simulator.advance(Duration::from_hours(hours.unsigned_abs()));
    let ms = hours * HOUR_MS;
    for sql in [
        format!(
            "UPDATE chats SET window_expires_at = window_expires_at - {ms}, first_unanswered_at = first_unanswered_at - {ms}, \
             turn_due_at = turn_due_at - {ms}, outbox_due_at = outbox_due_at - {ms}, last_message_at = last_message_at - {ms}"
        ),
        format!("UPDATE messages SET at = at - {ms}, received_at = received_at - {ms}"),
        format!("UPDATE turns SET written_at = written_at - {ms}, received_at = received_at - {ms}"),
    ] {
        sea_orm::ConnectionTrait::execute_unprepared(relay.store.connection(), &sql).await?;
    }
    Ok(())
}

async fn messages_wait(relay: &Relay, account: &str, login: &str) -> Result<()> {
    log_in(relay, account, login).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 700, ..AgentRule::default() });
    write(relay, account, ANSWERED_LATE, "long ago", 20);
    write(relay, account, ANSWERED, "first", 0);
    relay
        .simulator
        .wait_for("both are thought about", WITHIN, |record| record.completions.len() == 2)
        .await?;
    relay.simulator.set_tokens(account, TokenState::Revoked);
    until("the account waits for a token", WITHIN, async || {
        let queued = relay.rest.get("messages?status=queued").await?.json["total"] == 2;
        let waits = relay.rest.get("status").await?.json["status"] == "reauth_required";
        Ok((queued && waits).then_some(()))
    })
    .await?;
    relay.simulator.put_agent(AGENT, AgentRule::default());
    write(relay, account, ASKED_LATE, "also long ago", 20);
    write(relay, account, ASKED, "one", 0);
    write(relay, account, ASKED, "two", 0);
    write(relay, account, ANSWERED, "second", 0);
    until("they are received", WITHIN, async || {
        Ok((relay.rest.get("messages?status=received").await?.json["total"] == 6).then_some(()))
    })
    .await?;
    hours_pass(relay, 5).await?;
    // Nothing happens by itself, however long it takes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(relay.simulator.record(|record| (record.send_count, record.completions.len())), (0, 2));
    log_in(relay, account, login).await?;
    relay.settled().await?;
    let sent = |user: &str| {
        relay.simulator.record(|record| {
            record.sends_to(account, user).filter_map(|sent| sent.text.clone()).collect::<Vec<_>>()
        })
    };
    // Retell has ended its chat by then, so that the question begins with a note of what was said.
    let answers = sent(ANSWERED);
    assert!(answers.len() == 2 && answers[0] == "Answer to: first", "{answers:?}");
    assert!(answers[1].ends_with("you: Answer to: first]\nsecond"), "{answers:?}");
    assert_eq!(sent(ASKED), ["Answer to: one\ntwo"]);
    assert_eq!((sent(ANSWERED_LATE), sent(ASKED_LATE)), (vec![], vec![]));
    // What was too late is told, for each customer, and the agent was not asked in vain.
    let chats = relay.rest.get("chats").await?.json;
    let chats = chats["items"].as_array().context("no chats")?;
    let letters = relay.rest.get("dead-letters").await?.json;
    let letters = letters["items"].as_array().context("no dead letters")?;
    let mut told: Vec<(&str, &str)> = Vec::new();
    for letter in letters {
        assert!(letter["error"].as_str().is_some_and(|error| error.contains("window")), "{letter}");
        let chat = chats.iter().find(|chat| chat["chatId"] == letter["chatId"]).context("no chat")?;
        told.push((
            chat["instagramUserId"].as_str().unwrap_or_default(),
            letter["class"].as_str().unwrap_or_default(),
        ));
    }
    told.sort_unstable();
    assert_eq!(told, [(ANSWERED_LATE, "window_closed"), (ASKED_LATE, "window_closed")]);
    assert!(!relay.asked().iter().any(|asked| asked.contains("also long ago")), "{:?}", relay.asked());
    Ok(())
}
