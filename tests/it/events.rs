//! The effect of each kind of event.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, AgentRule};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    content_expressible_as_text_reaches_the_agent,
    events_without_a_question_are_stored_and_not_asked,
    marks_reach_their_message,
    an_unsent_message_is_erased_and_not_answered,
    an_unsend_before_its_message_leaves_nothing,
    what_is_unsent_is_not_left_at_the_agents_provider,
    a_human_in_the_app_silences_the_agent,
    an_answer_that_arrives_after_a_human_wrote_is_not_sent,
);

const USER: &str = "200000000000001";

fn attachment(kind: &str) -> Value {
    json!({"type": kind, "payload": {"url": "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1"}})
}

async fn content_expressible_as_text_reaches_the_agent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let story = "https://example.com/story".to_owned();
    let actions = [
        (Action::QuickReply { title: Some("Red".into()), payload: "RED".into() }, "Red"),
        (Action::QuickReply { title: None, payload: "+15551234567".into() }, "+15551234567"),
        (postback("Opening hours?", "HOURS", false), "Opening hours? (HOURS)"),
        (postback("Menu", "MENU", true), "Menu (MENU)"),
        (
            Action::Attachments { attachments: vec![attachment("image"), attachment("video")], text: None },
            "[image]\n[video]",
        ),
        (Action::Attachments { attachments: vec![attachment("audio")], text: None }, "[audio]"),
        (
            Action::Attachments { attachments: vec![attachment("share"), attachment("ig_post")], text: None },
            "[shared post]",
        ),
        (
            Action::StoryReply { text: "nice".into(), story_id: "1".into(), url: story.clone() },
            "[replied to our story]\nnice",
        ),
        (Action::StoryMention { url: story }, "[mentioned us in a story]"),
    ];
    for (n, (action, expected)) in actions.into_iter().enumerate() {
        relay.simulator.act(Act::new(ACCOUNT, USER, action));
        relay.replies(USER, n + 1).await?;
        assert_eq!(relay.asked()[n], expected);
    }
    relay.end().await
}

fn postback(title: &str, payload: &str, without_mid: bool) -> Action {
    Action::Postback { title: title.into(), payload: payload.into(), referral: None, without_mid }
}

async fn events_without_a_question_are_stored_and_not_asked(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let raw = |item: Value, standby: bool| Action::Raw { item, field: "messages".into(), standby };
    let parties =
        json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT}, "timestamp": 1_772_998_023_000_i64});
    let with = |key: &str, value: Value| {
        let mut item = parties.clone();
        item[key] = value;
        item
    };
    for action in [
        Action::Unsupported,
        Action::Referral { reference: "summer".into() },
        Action::Attachments { attachments: vec![json!({"type": "ephemeral"})], text: None },
        raw(with("message", json!({"mid": "standby-mid", "text": "not ours"})), true),
        raw(with("pass_thread_control", json!({"new_owner_app_id": "1", "metadata": ""})), false),
        raw(with("of_a_later_version", json!({"mid": "x"})), false),
        comment(false, false),
        comment(true, true),
        Action::Mention { comment_id: None },
    ] {
        relay.simulator.act(Act::new(ACCOUNT, USER, action));
    }
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    assert_eq!(relay.simulator.record(|record| record.failed_attempts), 0);
    let kinds: Vec<String> =
        relay.messages(USER).await?.iter().map(|m| m["kind"].as_str().unwrap_or_default().into()).collect();
    for kind in ["unsupported", "referral", "ephemeral", "handover"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} in {kinds:?}");
    }
    relay.end().await
}

fn comment(live: bool, flat: bool) -> Action {
    Action::Comment { text: "Where?".into(), live, flat, own: false, parent_id: None }
}

async fn marks_reach_their_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let mid = relay.simulator.record(|record| record.sends[0].mid.clone());
    let reaction = Action::Reaction {
        mid: mid.clone(),
        reaction: Some("love".into()),
        emoji: Some("❤️".into()),
        unreact: false,
    };
    relay.simulator.act(Act::new(ACCOUNT, USER, reaction));
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Read { mid }));
    dmrelay_tests::wait::until("the marks", Duration::from_secs(10), async || {
        let reply = relay.messages(USER).await?.pop().context("no reply")?;
        Ok((reply["readAt"].is_string() && reply["metadata"]["reaction"] == "❤️").then_some(()))
    })
    .await?;
    relay.end().await
}

async fn an_unsent_message_is_erased_and_not_answered(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.debounce_ms = 1_000).await?;
    let mid = relay.simulator.say(ACCOUNT, USER, "a secret");
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsend { mid }));
    relay.settled().await?;
    assert!(relay.asked().is_empty());
    let messages = relay.messages(USER).await?;
    assert_eq!(
        (messages.len(), &messages[0]["kind"], &messages[0]["text"]),
        (1, &json!("unsent"), &Value::Null)
    );
    relay.end().await
}

async fn what_is_unsent_is_not_left_at_the_agents_provider(backend: Backend) -> Result<()> {
    for renews in [true, false] {
        let relay = Relay::connected(backend, |settings| {
            settings.worker.unsend_renews_agent_chat = renews;
            settings.worker.erasure_interval = Duration::from_millis(300);
        })
        .await?;
        relay.simulator.say(ACCOUNT, USER, "hello");
        relay.replies(USER, 1).await?;
        let mid = relay.simulator.say(ACCOUNT, USER, "my card is 4111");
        relay.replies(USER, 2).await?;
        relay.settled().await?;
        let former: Vec<String> = relay.simulator.chats().into_iter().map(|chat| chat.id).collect();
        relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsend { mid }));
        relay.settled().await?;
        if renews {
            let gone = async || Ok(relay.simulator.chats().is_empty().then_some(()));
            wait::until("the agent chat is deleted", Duration::from_secs(20), gone).await?;
        }
        relay.simulator.say(ACCOUNT, USER, "and now?");
        relay.replies(USER, 3).await?;
        relay.settled().await?;
        let now: Vec<String> = relay.simulator.chats().into_iter().map(|chat| chat.id).collect();
        assert_eq!((now.len(), now != former), (1, renews), "{former:?} {now:?}");
        let asked = relay.asked().pop().unwrap_or_default();
        assert_eq!(asked.contains("hello"), renews, "{asked}");
        assert!(!asked.contains("customer: my card"), "{asked}");
        relay.end().await?;
    }
    Ok(())
}

async fn an_unsend_before_its_message_leaves_nothing(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let body = |message: Value| {
        let item = json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT}, "timestamp": 1_772_998_023_000_i64, "message": message});
        json!({"object": "instagram", "entry": [{"id": ACCOUNT, "time": 1, "messaging": [item]}]}).to_string()
    };
    for message in [json!({"mid": "early", "is_deleted": true}), json!({"mid": "early", "text": "a secret"})]
    {
        let answer = relay
            .rest
            .webhook("/webhooks/instagram", body(message).as_bytes(), dmrelay_tests::rest::APP_SECRET)
            .await?;
        assert_eq!(answer.status, 200);
        relay.settled().await?;
    }
    assert!(relay.asked().is_empty());
    let messages = relay.messages(USER).await?;
    assert_eq!((messages.len(), &messages[0]["text"]), (1, &Value::Null));
    relay.end().await
}

async fn a_human_in_the_app_silences_the_agent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::native("Ada here")));
    dmrelay_tests::wait::until("the human's message", Duration::from_secs(10), async || {
        let last = relay.messages(USER).await?.pop().context("no message")?;
        Ok((last["author"] == "native" && last["text"] == "Ada here").then_some(()))
    })
    .await?;
    relay.simulator.say(ACCOUNT, USER, "thanks Ada");
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    assert_eq!(relay.sent(USER), ["Answer to: hello"]);
    relay.end().await
}

async fn an_answer_that_arrives_after_a_human_wrote_is_not_sent(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 1_000, ..AgentRule::default() });
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay
        .simulator
        .wait_for("the question", Duration::from_secs(10), |record| record.calls_of("retell.completion") == 1)
        .await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::native("Ada here")));
    relay.settled().await?;
    assert!(relay.sent(USER).is_empty());
    let statuses: Vec<_> =
        relay.messages(USER).await?.iter().map(|m| (m["author"].clone(), m["status"].clone())).collect();
    assert!(statuses.contains(&(json!("agent"), json!("suppressed"))), "{statuses:?}");
    relay.end().await
}
