//! Comments: one private reply each, by the rules of the account.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, Echo, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, Answer, agent_path};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_comment_has_one_private_reply_that_opens_a_conversation,
    the_agent_answers_comments_that_no_other_rule_answers,
    own_comments_and_those_without_a_rule_have_no_reply,
    a_comment_is_not_taken_for_a_message_of_its_author,
    a_reply_of_unknown_outcome_is_not_sent_again,
    what_is_late_or_refused_is_told,
    nobody_is_answered_whom_a_person_answers_or_while_the_bot_is_paused,
    rules_for_comments_are_checked,
);

const USER: &str = "200000000000001";
const WITHIN: Duration = Duration::from_secs(20);

fn comments(relay: &Relay, text: &str) -> String {
    let action =
        Action::Comment { text: text.to_owned(), live: false, flat: false, own: false, parent_id: None };
    relay.simulator.act(Act::new(ACCOUNT, USER, action)).unwrap_or_default()
}

async fn all(relay: &Relay) -> Result<Vec<Value>> {
    let list = relay.rest.get("comments").await?;
    Ok(list.json["items"].as_array().with_context(|| list.text.clone())?.clone())
}

/// The comment with this id of Meta's, once `wanted` holds of it.
async fn until(relay: &Relay, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let found = wait::until(what, WITHIN, async || {
        let found = all(relay).await?.into_iter().find(|one| one["instagramCommentId"] == id);
        Ok(found.filter(|one| wanted(one)))
    });
    match found.await {
        Ok(one) => Ok(one),
        Err(err) => Err(err.context(format!("{:?}", all(relay).await))),
    }
}

fn rule(keywords: &[&str], reply: &Value) -> Value {
    json!({"keywords": keywords, "reply": reply})
}

fn private_replies(relay: &Relay) -> Vec<Option<String>> {
    relay.simulator.record(|record| {
        record
            .sends_to(ACCOUNT, USER)
            .filter(|send| send.comment_id.is_some())
            .map(|send| send.text.clone())
            .collect()
    })
}

async fn a_comment_has_one_private_reply_that_opens_a_conversation(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    // The echo comes before the answer of the call: it is not a human's.
    relay.simulator.configure(|settings| settings.graph.echo = Echo::First);
    let mut price = rule(&["price"], &json!({"action": "send", "text": "It is 20 EUR."}));
    price["publicReply"] = json!("You have a message.");
    price["hide"] = json!(true);
    relay.change_settings(json!({"commentRules": [price]})).await?;
    let id = comments(&relay, "What is the PRICE?");
    let one =
        until(&relay, &id, "the reply", |one| one["state"] == "replied" && one["hidden"] == "done").await?;
    assert_eq!((&one["publicReply"], &one["text"]), (&json!("done"), &json!("What is the PRICE?")), "{one}");
    assert!(one["commentedAt"].is_string() && one["chatId"].is_string(), "{one}");
    assert_eq!(relay.simulator.comment(&id), Some((vec!["You have a message.".to_owned()], true)));
    let chat = relay.rest.get(&format!("chats/{}", one["chatId"].as_str().unwrap_or_default())).await?;
    assert_eq!(chat.json["chat"]["mode"], "bot", "{}", chat.text);
    let messages = relay.messages(USER).await?;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(
        (&messages[0]["author"], &messages[0]["text"], &messages[0]["metadata"]["comment"]["commentId"]),
        (&json!("rule"), &json!("It is 20 EUR."), &one["commentId"])
    );
    let paused = relay.rest.get("activities?kind=INSTAGRAM_BOT_PAUSED").await?;
    assert_eq!(paused.json["items"], json!([]), "{}", paused.text);
    // The customer answers, and the agent knows what it is about.
    relay.simulator.say(ACCOUNT, USER, "too much");
    relay.replies(USER, 2).await?;
    let asked = relay.asked().join("\n");
    assert!(asked.contains("[to their comment: What is the PRICE?] It is 20 EUR."), "{asked}");
    relay.settled().await?;
    assert_eq!(private_replies(&relay), [Some("It is 20 EUR.".to_owned())]);
    let of_post = relay
        .rest
        .get(&format!("comments?instagramMediaId={}", one["instagramMediaId"].as_str().unwrap_or_default()))
        .await?;
    assert_eq!(of_post.json["items"].as_array().map(Vec::len), Some(1), "{}", of_post.text);
    // With the customer, their comments are erased.
    let erased = relay.rest.request("DELETE", &agent_path(&format!("users/{USER}")), None, &[]).await?;
    assert!(erased.status < 300, "{} {}", erased.status, erased.text);
    assert!(all(&relay).await?.is_empty());
    relay.end().await
}

async fn the_agent_answers_comments_that_no_other_rule_answers(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let rules = [rule(&["spam"], &json!({"action": "ignore"})), rule(&[], &json!({"action": "ask_agent"}))];
    relay.change_settings(json!({"commentRules": rules})).await?;
    let spam = comments(&relay, "spam, spam");
    assert_eq!(
        until(&relay, &spam, "the rule", |one| one["state"] == "skipped").await?["reply"],
        Value::Null
    );
    let id = comments(&relay, "Do you ship?");
    until(&relay, &id, "the reply", |one| one["state"] == "replied" && one["chatId"].is_string()).await?;
    assert_eq!(private_replies(&relay), [Some("Answer to: [commented on our post] Do you ship?".to_owned())]);
    let messages = relay.messages(USER).await?;
    assert_eq!(messages[0]["author"], "agent", "{messages:?}");
    relay.end().await
}

async fn own_comments_and_those_without_a_rule_have_no_reply(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let only = rule(&["price"], &json!({"action": "send", "text": "20 EUR."}));
    relay.change_settings(json!({"commentRules": [only]})).await?;
    let own =
        Action::Comment { text: "price".to_owned(), live: false, flat: false, own: true, parent_id: None };
    relay.simulator.act(Act::new(ACCOUNT, USER, own));
    relay.simulator.act(Act::new(ACCOUNT, USER, Action::Mention { comment_id: None }));
    let id = comments(&relay, "lovely");
    until(&relay, &id, "the comment", |one| one["state"] == "received").await?;
    relay.settled().await?;
    let mut kinds: Vec<String> = all(&relay).await?.iter().map(|one| one["kind"].to_string()).collect();
    kinds.sort();
    assert_eq!(kinds, ["\"comment\"", "\"mention\""]);
    assert!(private_replies(&relay).is_empty());
    let mentions = relay.rest.get("comments?kind=mention&state=received").await?;
    assert_eq!(mentions.json["items"].as_array().map(Vec::len), Some(1), "{}", mentions.text);
    relay.end().await
}

/// The events of a conversation are taken in together, and a comment by the same user waits beside them.
async fn a_comment_is_not_taken_for_a_message_of_its_author(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "before");
    relay.replies(USER, 1).await?;
    let at = relay.simulator.now_ms();
    let message = json!({"sender": {"id": USER}, "recipient": {"id": ACCOUNT}, "timestamp": at,
        "message": {"mid": "m-both", "text": "and a message"}});
    let comment = json!({"field": "comments", "value": {"id": "1", "text": "a comment", "from": {"id": USER}, "media": {"id": "2"}}});
    let body = json!({"object": "instagram", "entry": [
        {"id": ACCOUNT, "time": at, "messaging": [message], "changes": [comment]},
    ]});
    let told = relay.rest.webhook("/webhooks/instagram", body.to_string().as_bytes(), APP_SECRET).await?;
    assert_eq!(told.status, 200, "{}", told.text);
    relay.replies(USER, 2).await?;
    let one = until(&relay, "1", "the comment", |_| true).await?;
    assert_eq!(
        (&one["text"], &one["state"], &one["instagramMediaId"]),
        (&json!("a comment"), &json!("received"), &json!("2"))
    );
    relay.end().await
}

async fn a_reply_of_unknown_outcome_is_not_sent_again(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay
        .change_settings(json!({"commentRules": [rule(&[], &json!({"action": "send", "text": "Hi"}))]}))
        .await?;
    // Meta takes it, and the answer is lost.
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::DropAfter));
    let id = comments(&relay, "hello");
    let one = until(&relay, &id, "the end", |one| one["state"] == "unknown").await?;
    assert!(one["error"].is_string() && one["reason"].is_null(), "{one}");
    relay.settled().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(private_replies(&relay).len(), 1);
    // Its echo shows that it arrived, and that nobody took the conversation over.
    let messages = relay.messages(USER).await?;
    assert_eq!(
        (messages.len(), &messages[0]["author"], &messages[0]["text"]),
        (1, &json!("rule"), &json!("Hi"))
    );
    relay.simulator.say(ACCOUNT, USER, "who are you?");
    relay.replies(USER, 2).await?;
    relay.end().await
}

async fn what_is_late_or_refused_is_told(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.worker.comment_replies_per_hour = 1).await?;
    relay
        .change_settings(json!({"commentRules": [rule(&[], &json!({"action": "send", "text": "Hi"}))]}))
        .await?;
    let old =
        Action::Comment { text: "old".to_owned(), live: false, flat: false, own: false, parent_id: None };
    let week = 8 * 24 * 3_600_000;
    let old = relay
        .simulator
        .act(Act::new(ACCOUNT, USER, old).at(relay.simulator.now_ms() - week))
        .unwrap_or_default();
    let one = until(&relay, &old, "the end", |one| one["state"] == "skipped").await?;
    assert_eq!(one["reason"], "too_old");
    let first = comments(&relay, "first");
    until(&relay, &first, "the reply", |one| one["state"] == "replied").await?;
    // The hour has had its one.
    let second = comments(&relay, "second");
    until(&relay, &second, "the second", |one| one["state"] == "pending").await?;
    relay.settled().await?;
    assert_eq!(private_replies(&relay).len(), 1);
    relay.end().await
}

async fn nobody_is_answered_whom_a_person_answers_or_while_the_bot_is_paused(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let mut all_of_them = rule(&[], &json!({"action": "send", "text": "Hi"}));
    all_of_them["hide"] = json!(true);
    relay.change_settings(json!({"commentRules": [all_of_them]})).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    let chat = relay.messages(USER).await?[0]["chatId"].as_str().context("no chat")?.to_owned();
    relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    let id = comments(&relay, "and here");
    let one =
        until(&relay, &id, "the end", |one| one["state"] == "skipped" && one["hidden"] == "done").await?;
    assert_eq!(one["reason"], "human_answers", "{one}");
    relay.rest.post(&format!("chats/{chat}/release"), json!({})).await?;
    relay.change_settings(json!({"botPaused": true})).await?;
    let id = comments(&relay, "once more");
    until(&relay, &id, "the comment", |one| one["state"] == "pending").await?;
    relay.settled().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let one = until(&relay, &id, "the comment", |_| true).await?;
    assert_eq!((&one["state"], &one["hidden"]), (&json!("pending"), &json!("pending")), "{one}");
    assert!(private_replies(&relay).is_empty());
    relay.end().await
}

async fn rules_for_comments_are_checked(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let odd = json!({"commentRules": [
        {"keywords": ["?"], "instagramMediaIds": ["x"], "reply": {"action": "hand_over"}},
        {"reply": {"action": "send"}, "publicReply": " "},
    ]});
    let body = Some(odd.to_string().into_bytes());
    let refused: Answer = relay.rest.request("PATCH", &agent_path("settings"), body, &[]).await?;
    let errors = refused.json["errors"].as_array().cloned().unwrap_or_default();
    let mut faults: Vec<&str> = errors.iter().filter_map(|one| one["pointer"].as_str()).collect();
    faults.sort_unstable();
    let wanted = [
        "/commentRules/0/instagramMediaIds/0",
        "/commentRules/0/keywords/0",
        "/commentRules/0/reply/action",
        "/commentRules/1/publicReply",
        "/commentRules/1/reply",
    ];
    assert_eq!(faults, wanted, "{}", refused.text);
    relay.end().await
}
