//! Who answers: a human takes over a chat and releases it, the business pauses an account's agent, and human
//! agents answer after a day.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, AgentRule, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use dmrelay_tests::wait;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    an_answer_in_progress_is_not_sent_after_a_takeover,
    a_paused_account_answers_after_the_pause,
    an_answer_during_the_pause_waits_for_its_end,
    human_agents_write_while_the_account_is_paused,
    an_unknown_question_is_reconciled_during_the_pause,
    the_agent_resumes_on_its_own,
    events_of_a_message_are_logged_once,
    the_fallback_is_sent_once_when_the_agent_fails_permanently,
    no_fallback_is_sent_after_a_takeover_or_too_late,
    the_agent_is_told_what_was_said_meanwhile,
    the_agent_is_told_what_was_left_unanswered,
    human_agents_answer_after_a_day_with_the_tag_and_the_agent_never,
);

const USER: &str = "200000000000001";
const OTHER: &str = "200000000000002";
const DEADLINE: Duration = Duration::from_secs(10);

async fn greeted(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    Ok(relay)
}

async fn chat_id(relay: &Relay, user: &str) -> Result<String> {
    let message = relay.messages(user).await?.pop().context("no message")?;
    Ok(message["chatId"].as_str().context("no chatId")?.to_owned())
}

async fn chat_call(relay: &Relay, user: &str, call: &str) -> Result<()> {
    let path = format!("chats/{}/{call}", chat_id(relay, user).await?);
    let answer = relay.rest.post(&path, json!({})).await?;
    anyhow::ensure!(answer.status == 200, "{call}: {} {}", answer.status, answer.text);
    Ok(())
}

/// The activities, oldest first.
async fn activities(relay: &Relay, kind: &str) -> Result<Vec<Value>> {
    let answer = relay.rest.get(&format!("activities?kind={kind}&limit=200")).await?;
    let mut items = answer.json["items"].as_array().cloned().context("no items")?;
    items.reverse();
    Ok(items)
}

/// The statuses of a user's messages, once the last one has this status.
async fn until_last_is(relay: &Relay, user: &str, status: &str) -> Result<()> {
    wait::until(&format!("the last message is {status}"), DEADLINE, async || {
        let messages = relay.messages(user).await?;
        Ok(messages.last().is_some_and(|last| last["status"] == status).then_some(()))
    })
    .await
}

/// Waits until the poller has ticked for a second.
async fn swept(relay: &Relay) -> Result<()> {
    let db = relay.store.connection();
    let sql = "SELECT until FROM leaders WHERE name = 'sweep'";
    let held = async || {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        anyhow::Ok(row.context("nobody sweeps")?.try_get::<i64>("", "until")?)
    };
    let first = held().await?;
    wait::until("the sweep's beats", DEADLINE, async || Ok((held().await? >= first + 1_000).then_some(())))
        .await
}

/// Number of pipeline jobs run so far.
fn jobs(relay: &Relay) -> f64 {
    let families = relay.metrics.registry.gather();
    let jobs = families.iter().find(|family| family.name() == "dmrelay_jobs_total");
    jobs.map_or(0.0, |jobs| jobs.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum())
}

/// Lets the poller tick without producing jobs: waiting work is not dispatched repeatedly.
async fn at_rest(relay: &Relay) -> Result<()> {
    // A job that was pushed directly may still be running.
    swept(relay).await?;
    let before = jobs(relay);
    swept(relay).await?;
    assert!((jobs(relay) - before).abs() < 0.5, "{} jobs ran in a second of rest", jobs(relay) - before);
    Ok(())
}

async fn thinking(relay: &Relay, questions: u64) -> Result<()> {
    let asked = move |record: &dmrelay_simulator::Record| record.calls_of("retell.completion") == questions;
    Ok(relay.simulator.wait_for("the question", DEADLINE, asked).await?)
}

async fn an_answer_in_progress_is_not_sent_after_a_takeover(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 800, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "hello");
    thinking(&relay, 1).await?;
    chat_call(&relay, USER, "takeover").await?;
    relay.settled().await?;
    assert!(relay.sent(USER).is_empty());
    until_last_is(&relay, USER, "suppressed").await?;
    // What the customer writes then is the human agent's to answer, until the chat is released.
    relay.simulator.say(ACCOUNT, USER, "anyone?");
    relay.settled().await?;
    assert_eq!(relay.asked().len(), 1);
    chat_call(&relay, USER, "release").await?;
    assert_eq!(relay.replies(USER, 1).await?.len(), 1);
    assert_eq!(relay.asked()[1].lines().last(), Some("anyone?"));
    relay.end().await
}

async fn a_paused_account_answers_after_the_pause(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    until_last_is(&relay, USER, "received").await?;
    at_rest(&relay).await?;
    assert!(relay.asked().is_empty());
    assert!(relay.store.anything_due().await?);
    relay.change_settings(json!({"botPaused": false})).await?;
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}

async fn an_answer_during_the_pause_waits_for_its_end(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 800, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "hello");
    thinking(&relay, 1).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    until_last_is(&relay, USER, "queued").await?;
    at_rest(&relay).await?;
    assert!(relay.sent(USER).is_empty());
    relay.change_settings(json!({"botPaused": false})).await?;
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    assert_eq!((relay.sent(USER).len(), relay.asked().len()), (1, 1));
    relay.end().await
}

async fn human_agents_write_while_the_account_is_paused(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    relay.simulator.say(ACCOUNT, OTHER, "I wait");
    until_last_is(&relay, OTHER, "received").await?;
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(relay.replies(USER, 2).await?[1], "Ada here");
    // Its echo would confirm what is queued again.
    at_rest(&relay).await?;
    // Also if no job was pushed for it.
    let jobless = "UPDATE messages SET status = 'queued', mid = NULL, sent_at = NULL WHERE author = 'human'";
    relay.store.connection().execute_unprepared(jobless).await?;
    let due = format!("UPDATE chats SET outbox_due_at = 1 WHERE instagram_user_id = '{USER}'");
    relay.store.connection().execute_unprepared(&due).await?;
    assert_eq!(relay.replies(USER, 3).await?[2], "Ada here");
    at_rest(&relay).await?;
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}

async fn an_unknown_question_is_reconciled_during_the_pause(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::SlowAfter).delay(DEADLINE));
    relay.simulator.say(ACCOUNT, USER, "hello");
    thinking(&relay, 1).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    // The call ends without a response; the answer is found, and it waits.
    until_last_is(&relay, USER, "queued").await?;
    at_rest(&relay).await?;
    assert!(relay.sent(USER).is_empty());
    relay.change_settings(json!({"botPaused": false})).await?;
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    assert_eq!(relay.asked(), ["hello"]);
    relay.end().await
}

async fn the_agent_resumes_on_its_own(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    chat_call(&relay, USER, "takeover").await?;
    relay.simulator.say(ACCOUNT, USER, "anyone?");
    until_last_is(&relay, USER, "received").await?;
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    assert!(activities(&relay, "INSTAGRAM_BOT_RESUMED").await?.is_empty());
    relay.store.connection().execute_unprepared("UPDATE chats SET resume_at = 1").await?;
    assert_eq!(relay.replies(USER, 2).await?[1], "Answer to: anyone?");
    let chat = json!(chat_id(&relay, USER).await?);
    let resumed = activities(&relay, "INSTAGRAM_BOT_RESUMED").await?;
    let told: Vec<_> =
        resumed.iter().map(|a| (&a["actor"], &a["subject"], &a["details"]["chatId"])).collect();
    assert_eq!(told, [(&json!("system"), &chat, &chat)]);
    assert!(resumed[0]["connectionId"].is_string());
    relay.end().await
}

async fn events_of_a_message_are_logged_once(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    // Its echo shows that it was sent; the call does not.
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    assert_eq!(
        relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?.status,
        202
    );
    assert_eq!(
        relay.rest.post("send", json!({"instagramUserId": USER, "message": "and here"})).await?.status,
        202
    );
    relay.replies(USER, 3).await?;
    relay.settled().await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::native("from the app")));
    wait::until("the human's message", DEADLINE, async || {
        Ok((relay.messages(USER).await?.len() == 5).then_some(()))
    })
    .await?;
    let messages = relay.messages(USER).await?;
    let ids: Vec<&Value> = messages.iter().map(|message| &message["messageId"]).collect();
    let chat = &messages[0]["chatId"];
    let told = |activities: &[Value]| -> Vec<(String, Value, bool)> {
        let actor = |a: &Value| a["actor"].as_str().unwrap_or_default().to_owned();
        let one = |a: &Value| (actor(a), a["subject"].clone(), a["details"]["chatId"] == *chat);
        activities.iter().map(one).collect()
    };
    let expected = |actor: &str, id: &Value| (actor.to_owned(), id.clone(), true);
    let received = activities(&relay, "INSTAGRAM_MESSAGE_RECEIVED").await?;
    assert_eq!(told(&received), [expected("user", ids[0])]);
    let sent = activities(&relay, "INSTAGRAM_MESSAGE_SENT").await?;
    assert_eq!(
        told(&sent),
        [
            expected("agent", ids[1]),
            expected("bootstrap key", ids[2]),
            expected("bootstrap key", ids[3]),
            expected("person", ids[4])
        ]
    );
    // The chat was taken over once, by the first of them.
    let paused = activities(&relay, "INSTAGRAM_BOT_PAUSED").await?;
    assert_eq!(told(&paused), [expected("bootstrap key", chat)]);
    assert_eq!(paused[0]["details"]["reason"], "send");
    relay.end().await
}

async fn the_fallback_is_sent_once_when_the_agent_fails_permanently(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"fallbackText": "A colleague will write to you."})).await?;
    // Rejected; received and never answered; no agent at all.
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Before).status(400));
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::Partial));
    for (n, text) in ["one", "two"].into_iter().enumerate() {
        relay.simulator.say(ACCOUNT, USER, text);
        relay.replies(USER, n + 1).await?;
        relay.settled().await?;
    }
    relay.simulator.configure(|settings| settings.retell.any_agent = false);
    relay.simulator.say(ACCOUNT, OTHER, "three");
    relay.replies(OTHER, 1).await?;
    relay.settled().await?;
    let mut said = relay.sent(USER);
    said.extend(relay.sent(OTHER));
    assert_eq!(said, ["A colleague will write to you."; 3]);
    let letters: i64 = relay.store.dead_letter_counts().await?.iter().map(|(_, count)| count).sum();
    assert_eq!(letters, 3);
    relay.end().await
}

async fn no_fallback_is_sent_after_a_takeover_or_too_late(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"fallbackText": "A colleague will write to you."})).await?;
    let slow = Fault::retell(Operation::Completion, FaultMode::Before).status(400);
    relay.simulator.add_fault(slow.times(2).delay(Duration::from_millis(800)));
    relay.simulator.say(ACCOUNT, USER, "hello");
    thinking(&relay, 1).await?;
    chat_call(&relay, USER, "takeover").await?;
    relay.simulator.say(ACCOUNT, OTHER, "hello");
    thinking(&relay, 2).await?;
    relay.store.connection().execute_unprepared("UPDATE chats SET window_expires_at = 1").await?;
    relay.settled().await?;
    assert_eq!(relay.store.dead_letter_counts().await?, [("invalid".to_owned(), 2)]);
    assert!(relay.sent(USER).is_empty() && relay.sent(OTHER).is_empty());
    relay.end().await
}

async fn the_agent_is_told_what_was_said_meanwhile(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    assert_eq!(
        relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?.status,
        202
    );
    relay.replies(USER, 2).await?;
    relay.simulator.say(ACCOUNT, USER, "thanks\nAda");
    until_last_is(&relay, USER, "received").await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::native("Anything else?")));
    wait::until("the human's message", DEADLINE, async || {
        let last = relay.messages(USER).await?.pop().context("no message")?;
        Ok((last["author"] == "native").then_some(()))
    })
    .await?;
    relay.simulator.say(ACCOUNT, USER, "Do you deliver?");
    until_last_is(&relay, USER, "received").await?;
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    // The response is lost: the question is recognized with everything that was said in it.
    relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::DropAfter));
    chat_call(&relay, USER, "release").await?;
    relay.replies(USER, 3).await?;
    relay.simulator.say(ACCOUNT, USER, "Good");
    relay.replies(USER, 4).await?;
    relay.settled().await?;
    let told =
        "[While a colleague answered:\ncolleague: Ada here\ncustomer: thanks Ada\ncolleague: Anything else?]";
    assert_eq!(relay.asked(), ["hello".to_owned(), format!("{told}\nDo you deliver?"), "Good".to_owned()]);
    relay.end().await
}

async fn the_agent_is_told_what_was_left_unanswered(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    // A question waiting for the agent to recover, which a human has taken over by then.
    let outage =
        relay.simulator.add_fault(Fault::retell(Operation::Completion, FaultMode::DropBefore).times(0));
    relay.simulator.say(ACCOUNT, USER, "My parcel?");
    thinking(&relay, 2).await?;
    chat_call(&relay, USER, "takeover").await?;
    relay.settled().await?;
    relay.simulator.clear_faults(Some(outage));
    chat_call(&relay, USER, "release").await?;
    relay.simulator.say(ACCOUNT, USER, "And now?");
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello", "[While a colleague answered:\ncustomer: My parcel?]\nAnd now?"]);
    relay.end().await
}

async fn human_agents_answer_after_a_day_with_the_tag_and_the_agent_never(backend: Backend) -> Result<()> {
    const HOUR_MS: i64 = 3_600_000;
    let relay = greeted(backend).await?;
    let send = async |text: &str| {
        let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": text})).await?;
        let problem =
            answer.json["type"].as_str().map(|kind| kind.rsplit(':').next().unwrap_or_default().to_owned());
        anyhow::Ok(problem.unwrap_or_else(|| answer.status.to_string()))
    };
    let later = async |hours: i64| {
        relay.simulator.advance(Duration::from_hours(hours.unsigned_abs()));
        let sql = format!("UPDATE chats SET window_expires_at = window_expires_at - {}", hours * HOUR_MS);
        relay.store.connection().execute_unprepared(&sql).await
    };
    assert_eq!(send("the same day").await?, "202");
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    // An answer of the agent is waiting when the day ends.
    chat_call(&relay, USER, "release").await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 800, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "and?");
    thinking(&relay, 2).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    until_last_is(&relay, USER, "queued").await?;
    later(25).await?;
    assert_eq!(send("without the feature").await?, "window-closed");
    relay.change_settings(json!({"humanAgent": true, "botPaused": false})).await?;
    until_last_is(&relay, USER, "failed").await?;
    assert_eq!(send("the next day").await?, "202");
    relay.replies(USER, 3).await?;
    later(6 * 24).await?;
    assert_eq!(send("a week later").await?, "window-closed");
    relay.settled().await?;
    let sent: Vec<_> = relay.simulator.record(|record| {
        record.sends_to(ACCOUNT, USER).map(|sent| (sent.text.clone(), sent.tag.clone())).collect()
    });
    let expected =
        [("Answer to: hello", None), ("the same day", None), ("the next day", Some("HUMAN_AGENT"))];
    assert_eq!(sent, expected.map(|(text, tag)| (Some(text.to_owned()), tag.map(str::to_owned))));
    assert_eq!(relay.store.dead_letter_counts().await?, [("window_closed".to_owned(), 1)]);
    relay.end().await
}
