//! The main flow: a direct message comes in, the agent's answer goes out.

use anyhow::Result;
use dmrelay_simulator::{Act, Action, AgentRule, Echo, ReplyRule};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    a_column_of_a_later_version_is_ignored,
    a_message_is_answered_and_stored,
    a_webhook_delivered_again_changes_nothing,
    messages_of_one_user_are_answered_in_order_and_never_overlap,
    a_burst_is_asked_once,
    a_long_answer_is_split_and_sent_in_order,
    several_agent_messages_are_sent_in_order,
    a_chat_that_ended_is_replaced_by_a_new_one,
    an_answer_in_markdown_is_sent_as_plain_text,
    an_empty_answer_ends_the_turn,
    a_loop_between_two_bots_is_stopped,
);

const USER: &str = "200000000000001";

async fn a_message_is_answered_and_stored(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: hello"]);
    relay.settled().await?;
    let messages = relay.messages(USER).await?;
    let shown: Vec<_> =
        messages.iter().map(|m| (&m["author"], &m["direction"], &m["status"], &m["text"])).collect();
    assert_eq!(
        shown,
        [
            (&json!("user"), &json!("inbound"), &json!("received"), &json!("hello")),
            (&json!("agent"), &json!("outbound"), &json!("sent"), &json!("Answer to: hello")),
        ]
    );
    let echoed =
        dmrelay_tests::wait::until("the echo confirms the reply", Duration::from_secs(5), async || {
            let messages = relay.messages(USER).await?;
            Ok(messages[1]["confirmedAt"].is_string().then_some(()))
        });
    echoed.await?;
    let chat = relay.simulator.chats().remove(0);
    assert_eq!(chat.dynamic_variables.unwrap_or_default()["channel"], "instagram");
    assert_eq!(chat.metadata.unwrap_or_default()["instagram_user_id"], USER);
    relay.end().await
}

async fn a_webhook_delivered_again_changes_nothing(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::text("once")).duplicate(5));
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: once"]);
    assert_eq!(relay.asked(), ["once"]);
    assert_eq!(relay.messages(USER).await?.len(), 2);
    relay.end().await
}

async fn messages_of_one_user_are_answered_in_order_and_never_overlap(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 30, ..AgentRule::default() });
    for n in 0..30 {
        relay.simulator.say(ACCOUNT, USER, format!("m{n:02}"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.settled().await?;
    let asked: Vec<String> =
        relay.asked().iter().flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let expected: Vec<String> = (0..30).map(|n| format!("m{n:02}")).collect();
    assert_eq!(asked, expected);
    let answers: Vec<String> = relay.asked().iter().map(|text| format!("Answer to: {text}")).collect();
    assert_eq!(relay.sent(USER), answers);
    assert_eq!(relay.simulator.record(|record| record.overlaps), 0);
    relay.end().await
}

async fn a_burst_is_asked_once(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.debounce_ms = 500).await?;
    for text in ["hi", "are you", "open?"] {
        relay.simulator.say(ACCOUNT, USER, text);
    }
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hi\nare you\nopen?"]);
    relay.end().await
}

async fn a_long_answer_is_split_and_sent_in_order(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let paragraphs: Vec<String> = (0..5).map(|n| format!("{n} {}", "wörd ".repeat(130).trim_end())).collect();
    let reply = ReplyRule::Texts { texts: vec![paragraphs.join("\n\n")] };
    relay.simulator.put_agent(AGENT, AgentRule { reply, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "tell me all");
    assert_eq!(relay.replies(USER, 5).await?, paragraphs);
    relay.end().await
}

async fn several_agent_messages_are_sent_in_order(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.configure(|settings| settings.graph.echo = Echo::First);
    let reply = ReplyRule::Texts { texts: vec!["One moment.".into(), "Here: {input}".into(), "Bye.".into()] };
    relay.simulator.put_agent(AGENT, AgentRule { reply, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "x");
    assert_eq!(relay.replies(USER, 3).await?, ["One moment.", "Here: x", "Bye."]);
    relay.settled().await?;
    // Echoes that arrived before the responses were not attributed to a human.
    let authors: Vec<_> = relay.messages(USER).await?.iter().map(|m| m["author"].clone()).collect();
    assert_eq!(authors, ["user", "agent", "agent", "agent"]);
    relay.end().await
}

async fn a_chat_that_ended_is_replaced_by_a_new_one(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.agent_history = 0).await?;
    relay.simulator.put_agent(AGENT, AgentRule { ends_chat: true, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "first");
    relay.replies(USER, 1).await?;
    relay.simulator.say(ACCOUNT, USER, "second");
    assert_eq!(relay.replies(USER, 2).await?, ["Answer to: first", "Answer to: second"]);
    assert_eq!(relay.simulator.chats().len(), 2);
    relay.end().await
}

async fn an_answer_in_markdown_is_sent_as_plain_text(backend: Backend) -> Result<()> {
    for (plain_text, sent) in [
        (true, "Our hours: 9-5, see our page: https://a.example/x_y_z"),
        (false, "**Our hours**: 9-5, see [our page](https://a.example/x_y_z)"),
    ] {
        let relay = Relay::connected(backend, |settings| settings.worker.plain_text = plain_text).await?;
        let texts = vec!["**Our hours**: 9-5, see [our page](https://a.example/x_y_z)".to_owned()];
        let rule = AgentRule { reply: ReplyRule::Texts { texts }, ..AgentRule::default() };
        relay.simulator.put_agent(AGENT, rule);
        relay.simulator.say(ACCOUNT, USER, "hello");
        assert_eq!(relay.replies(USER, 1).await?, [sent]);
        relay.end().await?;
    }
    Ok(())
}

async fn an_empty_answer_ends_the_turn(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_agent(AGENT, AgentRule { reply: ReplyRule::ToolOnly, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "silence");
    relay
        .simulator
        .wait_for("the question", Duration::from_secs(10), |record| record.completion_count == 1)
        .await?;
    relay.settled().await?;
    relay.simulator.put_agent(AGENT, AgentRule::default());
    relay.simulator.say(ACCOUNT, USER, "words");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: words"]);
    relay.end().await
}

async fn a_loop_between_two_bots_is_stopped(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.max_turns_per_hour = 3).await?;
    for n in 1..=3 {
        relay.simulator.say(ACCOUNT, USER, format!("ping {n}"));
        relay.replies(USER, n).await?;
    }
    relay.simulator.say(ACCOUNT, USER, "ping 4");
    relay.settled().await?;
    assert_eq!(relay.sent(USER).len(), 3);
    assert_eq!(relay.messages(USER).await?.last().map(|m| m["text"].clone()), Some(json!("ping 4")));
    relay.end().await
}

/// During a rolling deploy the schema is newer than the processes still running.
async fn a_column_of_a_later_version_is_ignored(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "before");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.rest.get("chats").await?.status, 200);
    let tables = [
        "instagram_connections",
        "events",
        "chats",
        "messages",
        "turns",
        "activities",
        "dead_letters",
        "api_keys",
        "gates",
        "leaders",
        "agents",
        "idempotency_keys",
    ];
    for table in tables {
        let sql = format!("ALTER TABLE {table} ADD COLUMN of_a_later_version text");
        relay.store.connection().execute_unprepared(&sql).await?;
    }
    relay.simulator.say(ACCOUNT, USER, "after");
    assert_eq!(relay.replies(USER, 2).await?, ["Answer to: before", "Answer to: after"]);
    relay.settled().await?;
    for path in ["status", "chats", "messages", "activities", "dead-letters", "connections"] {
        let answer = relay.rest.get(path).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    let sent =
        relay.rest.post("send", serde_json::json!({"instagramUserId": USER, "message": "Ada"})).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    assert_eq!(relay.replies(USER, 3).await?.len(), 3);
    relay.end().await
}
