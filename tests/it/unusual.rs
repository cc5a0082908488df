//! What is not simply a text: no answer without a reason, nothing lost that the agent could use, and nothing taken for a
//! human's that is Instagram's own.

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{Act, Action};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    no_message_is_left_without_an_answer_or_a_reason,
    the_customer_is_told_once_that_something_cannot_be_read,
    what_is_not_understood_is_told_in_its_chat_or_becomes_a_dead_letter,
    what_a_message_replies_to_and_how_the_customer_arrived_reach_the_agent,
    a_story_mention_in_two_forms_is_answered_once,
    instagrams_own_texts_do_not_silence_the_agent,
    what_the_webhooks_tell_about_an_account_is_in_its_status,
    a_read_that_overtakes_the_acceptance_counts,
);

const SHARED: &str = "/webhooks/instagram";
const USER: &str = "200000000000001";

/// An item from the user of that time.
fn item(user: &str, at: i64, key: &str, value: &Value) -> Value {
    json!({"sender": {"id": user}, "recipient": {"id": ACCOUNT}, "timestamp": at, key: value})
}

/// The simulator's window of this user is open, and no webhook tells of it.
fn open(relay: &Relay, user: &str) {
    let text = Action::Text { text: "(before)".to_owned(), reply_to: None, referral: None };
    relay.simulator.act(Act::new(ACCOUNT, user, text).withheld());
}

async fn deliver(relay: &Relay, list: &str, items: &[Value]) -> Result<()> {
    let body = json!({"object": "instagram", "entry": [{"id": ACCOUNT, "time": relay.simulator.now_ms(), list: items}]});
    let answer = relay.rest.webhook(SHARED, body.to_string().as_bytes(), APP_SECRET).await?;
    ensure!(answer.status == 200, "{}", answer.text);
    Ok(())
}

/// The chat with the user, with its messages and its timeline.
async fn chat(relay: &Relay, user: &str) -> Result<Value> {
    let message = relay.messages(user).await?.pop().context("no message")?;
    let id = message["chatId"].as_str().context("no chat")?;
    Ok(relay.rest.get(&format!("chats/{id}")).await?.json)
}

async fn no_message_is_left_without_an_answer_or_a_reason(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let now = relay.simulator.now_ms();
    let message = |mid: &str, more: Value| {
        let mut message = json!({"mid": mid});
        message
            .as_object_mut()
            .into_iter()
            .for_each(|all| all.extend(more.as_object().cloned().unwrap_or_default()));
        item(USER, now, "message", &message)
    };
    let attached =
        |kind: &str| json!({"attachments": [{"type": kind, "payload": {"url": "https://example.com/1"}}]});
    let items = [
        message("m-unsupported", json!({"is_unsupported": true})),
        message("m-unsupported-type", attached("unsupported_type")),
        message("m-view-once", json!({"attachments": [{"type": "ephemeral"}]})),
        message("m-empty", json!({"text": "  "})),
        message("m-nothing", json!({})),
    ];
    deliver(&relay, "messaging", &items).await?;
    deliver(&relay, "standby", &[message("m-standby", json!({"text": "not ours"}))]).await?;
    relay.settled().await?;
    assert!(relay.asked().is_empty(), "{:?}", relay.asked());
    let messages = relay.messages(USER).await?;
    for (mid, kind, reason) in [
        ("m-unsupported", "unsupported", "unsupported"),
        ("m-unsupported-type", "unsupported", "unsupported"),
        ("m-view-once", "ephemeral", "view_once"),
        ("m-empty", "text", "empty"),
        ("m-nothing", "text", "empty"),
        ("m-standby", "text", "standby"),
    ] {
        let message = messages.iter().find(|message| message["mid"] == mid).context(mid)?;
        assert_eq!((&message["kind"], &message["reason"]), (&json!(kind), &json!(reason)), "{mid}");
        assert_eq!(message["error"], Value::Null, "{mid}");
    }
    let timeline = chat(&relay, USER).await?["timeline"].as_array().cloned().context("no timeline")?;
    let not_asked = timeline.iter().filter(|entry| entry["event"] == "not_asked");
    let mut reasons: Vec<_> = not_asked.filter_map(|entry| entry["detail"].as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["empty", "empty", "standby", "unsupported", "unsupported", "view_once"]);
    // A sticker says something.
    let sticker = Action::Attachments {
        attachments: vec![json!({"type": "sticker", "payload": {"sticker_id": "1"}})],
        text: None,
    };
    relay.simulator.act(Act::new(ACCOUNT, USER, sticker));
    relay.replies(USER, 1).await?;
    assert!(relay.asked()[0].ends_with("[sticker]"), "{:?}", relay.asked());
    relay.end().await
}

async fn the_customer_is_told_once_that_something_cannot_be_read(backend: Backend) -> Result<()> {
    const TEXT: &str = "We cannot see this. Please write to us.";
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.change_settings(json!({"unreadableText": TEXT})).await?;
    let now = relay.simulator.now_ms();
    let standby =
        item(USER, now, "message", &json!({"mid": "m-standby", "attachments": [{"type": "ephemeral"}]}));
    deliver(&relay, "standby", &[standby]).await?;
    relay.settled().await?;
    assert!(relay.sent(USER).is_empty());
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsupported));
    assert_eq!(relay.replies(USER, 1).await?, [TEXT]);
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsupported));
    relay.settled().await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    assert_eq!(relay.replies(USER, 2).await?, [TEXT, "Answer to: hello"]);
    relay.settled().await?;
    let reply = relay
        .messages(USER)
        .await?
        .into_iter()
        .find(|message| message["text"] == TEXT)
        .context("the text")?;
    assert_eq!((&reply["author"], &reply["status"]), (&json!("agent"), &json!("sent")));
    relay.end().await
}

async fn what_is_not_understood_is_told_in_its_chat_or_becomes_a_dead_letter(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let now = relay.simulator.now_ms();
    let nobodys = json!({"timestamp": now, "of_a_later_version": {"x": 1}});
    deliver(&relay, "messaging", &[item(USER, now, "of_a_later_version", &json!({"x": 1})), nobodys]).await?;
    assert_eq!(relay.rest.webhook(SHARED, b"not json", APP_SECRET).await?.status, 200);
    relay.settled().await?;
    let messages = relay.messages(USER).await?;
    assert_eq!(
        (messages.len(), &messages[0]["author"], &messages[0]["kind"]),
        (1, &json!("system"), &json!("unknown"))
    );
    assert_eq!(messages[0]["metadata"], json!({"event": "of_a_later_version"}));
    let logged = relay.rest.get("activities?kind=INSTAGRAM_EVENT_UNKNOWN").await?;
    let logged: Vec<_> = logged.json["items"].as_array().into_iter().flatten().collect();
    // The one that names no user, and the one in the chat; the other body belongs to no account.
    assert_eq!(logged.len(), 2, "{logged:?}");
    assert!(logged.iter().any(|entry| entry["details"]["event"] == "of_a_later_version"), "{logged:?}");
    let letters: i64 = relay.store.dead_letter_counts().await?.iter().map(|(_, count)| count).sum();
    // Their bytes are kept, in the chat or not.
    assert_eq!((letters, relay.store.count_events("unknown").await?), (2, 3));
    relay.end().await
}

async fn what_a_message_replies_to_and_how_the_customer_arrived_reach_the_agent(
    backend: Backend,
) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let ad = json!({"ref": "AD", "ad_id": "1", "source": "ADS", "type": "OPEN_THREAD",
        "ads_context_data": {"ad_title": "Summer sale", "post_id": "9"}});
    let text = |text: &str, reply_to: Option<String>, referral: Option<Value>| Action::Text {
        text: text.to_owned(),
        reply_to,
        referral,
    };
    relay.simulator.act(Act::new(ACCOUNT, USER, text("Hi", None, Some(ad.clone()))));
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let first = relay.messages(USER).await?;
    let asked = first[0]["mid"].as_str().map(str::to_owned);
    let answer = first[1]["mid"].as_str().map(str::to_owned);
    assert_eq!(first[0]["metadata"]["referral"]["ads_context_data"], ad["ads_context_data"]);
    relay.simulator.act(Act::new(ACCOUNT, USER, text("And this?", answer, None)));
    relay.replies(USER, 2).await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, text("I meant", asked.clone(), None)));
    relay.replies(USER, 3).await?;
    // A click that brings them back says where they come from with the next message.
    let product = json!({"product": {"id": "4312"}, "source": "SHORTLINKS"});
    deliver(&relay, "messaging", &[item(USER, relay.simulator.now_ms(), "referral", &product)]).await?;
    relay.settled().await?;
    relay.simulator.say(ACCOUNT, USER, "Is it in stock?");
    relay.replies(USER, 4).await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Unsend { mid: asked.clone().context("no mid")? }));
    relay.settled().await?;
    relay.simulator.act(Act::new(ACCOUNT, USER, text("Well", asked, None)));
    relay.replies(USER, 5).await?;
    let quick = item(
        USER,
        relay.simulator.now_ms(),
        "message",
        &json!({"mid": "m-quick", "text": "Red", "quick_reply": {"payload": "RED"}, "app_state": {"of": "later"}}),
    );
    deliver(&relay, "messaging", &[quick]).await?;
    relay.replies(USER, 6).await?;
    let asked = relay.asked();
    assert_eq!(
        asked[..4],
        [
            "[came from the ad: Summer sale]\nHi",
            "[in reply to you: Answer to: (came from the ad: Summer sale) Hi]\nAnd this?",
            "[in reply to a message of their own: Hi]\nI meant",
            "[asks about product 4312]\nIs it in stock?",
        ]
    );
    // What was taken back is not in the new chat with the agent, nor in what that chat is told.
    assert!(asked[4].starts_with("[Earlier in this conversation:\n"), "{}", asked[4]);
    assert!(asked[4].ends_with("]\n[in reply to an earlier message]\nWell"), "{}", asked[4]);
    assert!(!asked[4].contains("customer: Hi"), "{}", asked[4]);
    assert_eq!(asked[5..], ["Red"]);
    let last = relay
        .messages(USER)
        .await?
        .into_iter()
        .find(|message| message["mid"] == "m-quick")
        .context("no tap")?;
    assert_eq!(
        last["metadata"],
        json!({"quickReply": {"payload": "RED"}, "more": {"app_state": {"of": "later"}}})
    );
    relay.end().await
}

async fn a_story_mention_in_two_forms_is_answered_once(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let now = relay.simulator.now_ms();
    let referral =
        |user: &str| item(user, now, "referral", &json!({"source": "STORY_MENTION", "type": "OPEN_THREAD"}));
    let message = |user: &str| {
        let story = json!({"type": "story_mention", "payload": {"url": "https://example.com/story"}});
        item(user, now + 1_000, "message", &json!({"mid": format!("m-{user}"), "attachments": [story]}))
    };
    let [before, after, alone] = ["201", "202", "203"];
    for user in [before, after, alone] {
        open(&relay, user);
    }
    deliver(&relay, "messaging", &[referral(before)]).await?;
    deliver(&relay, "messaging", &[message(after), referral(alone)]).await?;
    relay.settled().await?;
    deliver(&relay, "messaging", &[message(before), referral(after)]).await?;
    for user in [before, after, alone] {
        relay.replies(user, 1).await?;
    }
    relay.settled().await?;
    assert_eq!(relay.asked(), ["[mentioned us in a story]"; 3]);
    let told = relay.messages(before).await?;
    assert_eq!(told[0]["mid"], format!("m-{before}"), "{told:?}");
    assert_eq!(told[0]["attachments"][0]["url"], "https://example.com/story");
    relay.end().await
}

async fn instagrams_own_texts_do_not_silence_the_agent(backend: Backend) -> Result<()> {
    const AWAY: &str = "Thanks for your message! We reply soon.";
    let relay = Relay::connected(backend, |settings| settings.worker.debounce_ms = 700).await?;
    let hello = |user: &str| relay.simulator.say(ACCOUNT, user, "hello");
    let native = |user: &str, text: &str| {
        relay.simulator.act(Act::new(ACCOUNT, user, Action::Native { text: text.to_owned() }));
    };
    let mode = async |user: &str| -> Result<Value> { Ok(chat(&relay, user).await?["chat"]["mode"].clone()) };
    for user in ["301", "302"] {
        hello(user);
        native(user, AWAY);
        relay.settled().await?;
        assert_eq!(mode(user).await?, "human");
    }
    // The third of the same kind shows what it is: all three are answered.
    hello("303");
    native("303", AWAY);
    for user in ["301", "302", "303"] {
        relay.replies(user, 1).await?;
        assert_eq!(mode(user).await?, "bot");
    }
    let automatic = relay.messages("301").await?.into_iter().find(|message| message["text"] == AWAY);
    assert_eq!(automatic.context("the text")?["author"], "automation");
    let logged = relay.rest.get("activities?kind=INSTAGRAM_AUTOMATION_RECOGNIZED").await?;
    assert_eq!(logged.json["items"].as_array().map(Vec::len), Some(2), "{}", logged.text);
    // The echo may overtake the message that it follows.
    open(&relay, "306");
    let at = relay.simulator.now_ms();
    let late = item("306", at, "message", &json!({"mid": "m-306", "text": "hello"}));
    relay.simulator.act(Act::new(ACCOUNT, "306", Action::Native { text: AWAY.to_owned() }).at(at + 500));
    relay.settled().await?;
    assert_eq!(mode("306").await?, "human");
    deliver(&relay, "messaging", &[late]).await?;
    relay.replies("306", 1).await?;
    assert_eq!(mode("306").await?, "bot");
    // Within the conversation it is a human's, whoever may have written it before.
    let later = relay.simulator.now_ms() + 60_000;
    relay.simulator.act(Act::new(ACCOUNT, "303", Action::Native { text: AWAY.to_owned() }).at(later));
    relay.settled().await?;
    assert_eq!(mode("303").await?, "human");
    // Another text is a human's, at once or not.
    hello("304");
    native("304", "Ada here");
    relay.settled().await?;
    assert_eq!(mode("304").await?, "human");
    // What the business lists needs no proof.
    relay.change_settings(json!({"automaticTexts": ["We are closed."]})).await?;
    hello("305");
    native("305", "We are closed.");
    relay.replies("305", 1).await?;
    assert_eq!(mode("305").await?, "bot");
    relay.end().await
}

async fn what_the_webhooks_tell_about_an_account_is_in_its_status(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let codes = async || -> Result<Vec<String>> {
        let status = relay.rest.get("status").await?;
        let notices = status.json["notices"].as_array().cloned().context("no notices")?;
        Ok(notices.iter().map(|notice| notice["code"].as_str().unwrap_or_default().to_owned()).collect())
    };
    assert!(codes().await?.is_empty());
    let now = relay.simulator.now_ms();
    deliver(&relay, "standby", &[item(USER, now, "message", &json!({"mid": "m-1", "text": "not ours"}))])
        .await?;
    let edit = item(USER, now, "message_edit", &json!({"mid": "m-2", "text": "hi", "num_edit": "0"}));
    let policy = json!({"recipient": {"id": ACCOUNT}, "timestamp": now,
        "policy_enforcement": {"action": "warning", "reason": "spam"}});
    deliver(&relay, "messaging", &[edit, policy]).await?;
    dmrelay_tests::wait::until("the notices", Duration::from_secs(20), async || {
        Ok((codes().await? == ["only_standby", "unpublished_app", "policy_enforcement"]).then_some(()))
    })
    .await?;
    relay.settled().await?;
    let logged = relay.rest.get("activities?kind=INSTAGRAM_POLICY_ENFORCED").await?;
    assert_eq!(
        logged.json["items"][0]["details"],
        json!({"action": "warning", "reason": "spam"}),
        "{}",
        logged.text
    );
    assert_eq!(relay.store.count_events("kept").await?, 1);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    dmrelay_tests::wait::until("the notices to go", Duration::from_secs(20), async || {
        Ok((codes().await? == ["policy_enforcement"]).then_some(()))
    })
    .await?;
    relay.end().await
}

async fn a_read_that_overtakes_the_acceptance_counts(backend: Backend) -> Result<()> {
    use dmrelay_simulator::{Fault, FaultMode, Operation};
    let relay = Relay::connected(backend, |_| {}).await?;
    // Graph answers late; the customer has read the message by then.
    relay
        .simulator
        .add_fault(Fault::graph(Operation::Send, FaultMode::SlowAfter).delay(Duration::from_millis(800)));
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let mid = relay.simulator.record(|record| record.sends[0].mid.clone());
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Read { mid }));
    dmrelay_tests::wait::until("the mark", Duration::from_secs(30), async || {
        let messages = relay.messages(USER).await?;
        Ok(messages
            .iter()
            .any(|message| message["text"] == "Answer to: hello" && message["readAt"].is_string())
            .then_some(()))
    })
    .await?;
    assert_eq!(relay.sent(USER).len(), 1);
    relay.end().await
}
