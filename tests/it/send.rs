//! A human agent writes through the REST API.

use anyhow::{Context, Result};
use dmrelay_simulator::{Action, AgentRule};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, agent_path};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_human_agents_message_is_sent_and_silences_the_agent,
    the_same_idempotency_key_sends_once,
    richer_messages_are_sent_as_they_are,
    what_instagram_would_refuse_is_refused_with_every_fault,
    a_message_can_reply_to_another,
    the_account_reacts_and_takes_it_back,
    a_customer_sees_that_somebody_reads_and_writes,
    unanswerable_recipients_are_rejected_at_once,
    an_answer_in_progress_is_not_sent_after_a_human_writes,
);

const USER: &str = "200000000000001";

async fn greeted(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    Ok(relay)
}

async fn a_human_agents_message_is_sent_and_silences_the_agent(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here"})).await?;
    assert_eq!((answer.status, &answer.json["status"]), (202, &json!("queued")), "{}", answer.text);
    assert_eq!(relay.replies(USER, 2).await?[1], "Ada here");
    relay.simulator.say(ACCOUNT, USER, "thanks");
    relay.settled().await?;
    assert_eq!(relay.asked(), ["hello"]);
    let messages = relay.messages(USER).await?;
    let sent = messages.iter().find(|m| m["messageId"] == answer.json["messageId"]);
    assert_eq!(sent.map(|m| (&m["author"], &m["status"])), Some((&json!("human"), &json!("sent"))));
    relay.end().await
}

async fn the_same_idempotency_key_sends_once(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let send = |text: &str| {
        let body = json!({"instagramUserId": USER, "message": text}).to_string().into_bytes();
        let rest = relay.rest.clone();
        async move { rest.request("POST", &agent_path("send"), Some(body), &[("idempotency-key", "k-1")]).await }
    };
    let (first, second) = tokio::try_join!(send("once"), send("once"))?;
    let third = send("once").await?;
    assert_eq!(
        [first.status, second.status, third.status],
        [202, 202, 202],
        "{} {}",
        first.text,
        second.text
    );
    assert_eq!(first.json["messageId"], second.json["messageId"]);
    assert_eq!(first.json["messageId"], third.json["messageId"]);
    assert_eq!(third.header("idempotency-replayed"), "true");
    let other = send("another").await?;
    assert_eq!(
        (other.status, &other.json["type"]),
        (422, &json!("urn:dmrelay:problem:idempotency-key-reused"))
    );
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "once"]);
    relay.end().await
}

async fn richer_messages_are_sent_as_they_are(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let video = relay
        .rest
        .send_raw("POST", &agent_path("media"), "video/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
        .await?;
    let image = json!({"type": "image", "payload": {"url": "https://example.com/a.jpg"}});
    let template = |payload: Value| json!({"attachment": {"type": "template", "payload": payload}});
    let messages = [
        json!({"text": "Pick", "quick_replies": [{"content_type": "text", "title": "Red", "payload": "RED"}]}),
        json!({"attachment": image}),
        json!({"attachments": [image, image]}),
        json!({"attachment": {"type": "audio", "payload": {"url": "https://example.com/a.m4a"}}}),
        json!({"attachment": {"type": "video", "payload": {"attachment_id": video.json["attachmentId"]}}}),
        json!({"attachment": {"type": "file", "payload": {"url": "https://example.com/a.pdf"}}}),
        json!({"attachment": {"type": "like_heart"}}),
        json!({"attachment": {"type": "MEDIA_SHARE", "payload": {"id": "17900000000000001"}}}),
        template(json!({"template_type": "generic", "elements": [{"title": "Vase", "subtitle": "Blue"}]})),
        template(
            json!({"template_type": "button", "text": "Order?", "buttons": [{"type": "postback", "title": "Yes", "payload": "YES"}]}),
        ),
    ];
    for message in &messages {
        let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": message})).await?;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
    relay.replies(USER, 1 + messages.len()).await?;
    relay.settled().await?;
    let sent = relay
        .simulator
        .record(|record| record.sends.iter().map(|sent| sent.message.clone()).collect::<Vec<_>>());
    assert_eq!(sent[1..], messages);
    // Their echoes are known as ours, whatever Meta makes of them: nobody in the app has written.
    let known = relay.messages(USER).await?;
    assert_eq!(known.len(), 2 + messages.len(), "{known:?}");
    assert!(known.iter().all(|message| message["author"] != "native"), "{known:?}");
    // The agent is told of them in words.
    relay
        .rest
        .post(&format!("chats/{}/release", known[0]["chatId"].as_str().unwrap_or_default()), json!({}))
        .await?;
    relay.simulator.say(ACCOUNT, USER, "the blue one");
    relay.replies(USER, 2 + messages.len()).await?;
    let asked = relay.asked().pop().unwrap_or_default();
    for told in [
        "colleague: Pick",
        "[image]",
        "[audio]",
        "[heart]",
        "[own post]",
        "[cards: Vase]",
        "[buttons: Order?]",
    ] {
        assert!(asked.contains(told), "{told} in {asked}");
    }
    relay.end().await
}

async fn what_instagram_would_refuse_is_refused_with_every_fault(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let card = json!({"title": "", "buttons": [{"type": "web_url", "title": "Look", "url": "http://x"}]});
    let message = json!({"attachment": {"type": "template", "payload": {"template_type": "generic", "elements": [card]}}});
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": message})).await?;
    let pointers: Vec<&Value> =
        answer.json["errors"].as_array().into_iter().flatten().map(|fault| &fault["pointer"]).collect();
    let at = "/message/attachment/payload/elements/0";
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(pointers, [&json!(format!("{at}/title")), &json!(format!("{at}/buttons/0/url"))]);
    let voice = json!({"attachment": {"type": "audio", "payload": {"url": "https://example.com/a.ogg"}}});
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": voice})).await?;
    assert!(answer.status == 422 && answer.text.contains("takes no ogg as audio"), "{}", answer.text);
    // Meta sends product templates for accounts with Facebook Login only.
    let product = json!({"attachment": {"type": "template", "payload": {"template_type": "product", "elements": [{"id": "1"}]}}});
    let answer = relay.rest.post("send", json!({"instagramUserId": USER, "message": product})).await?;
    assert!(answer.status == 422 && answer.text.contains("Facebook Login"), "{}", answer.text);
    assert_eq!(relay.sent(USER).len(), 1);
    relay.end().await
}

async fn a_message_can_reply_to_another(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let question = relay.messages(USER).await?.into_iter().find(|message| message["author"] == "user");
    let question = question.context("no question")?;
    let body = json!({"instagramUserId": USER, "message": "Yes!", "replyTo": question["messageId"]});
    let answer = relay.rest.post("send", body.clone()).await?;
    assert_eq!(answer.status, 202, "{}", answer.text);
    relay.replies(USER, 2).await?;
    relay.settled().await?;
    let thread = relay.simulator.thread(ACCOUNT, USER).context("no thread")?;
    let last = thread.messages.last().context("no message")?;
    assert_eq!(last.reply_to.as_deref(), question["mid"].as_str());
    let shown = relay
        .rest
        .get(&format!("messages/{}", answer.json["messageId"].as_str().unwrap_or_default()))
        .await?;
    assert_eq!(shown.json["replyTo"]["mid"], question["mid"]);
    // A call that is repeated is the same, whatever became of the question meanwhile.
    let keyed = async || {
        let body = body.to_string().into_bytes();
        relay.rest.request("POST", &agent_path("send"), Some(body), &[("idempotency-key", "k-9")]).await
    };
    let first = keyed().await?;
    assert_eq!(first.status, 202, "{}", first.text);
    relay.replies(USER, 3).await?;
    let mid = question["mid"].as_str().context("no mid")?.to_owned();
    relay.simulator.act(dmrelay_simulator::Act::new(ACCOUNT, USER, Action::Unsend { mid }));
    relay.settled().await?;
    let again = keyed().await?;
    assert_eq!((again.status, &again.json["messageId"]), (202, &first.json["messageId"]), "{}", again.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
    // Only to what this customer's conversation has.
    relay.simulator.say(ACCOUNT, "200000000000002", "hi");
    relay.replies("200000000000002", 1).await?;
    let other =
        json!({"instagramUserId": "200000000000002", "message": "x", "replyTo": question["messageId"]});
    let unknown =
        json!({"instagramUserId": USER, "message": "x", "replyTo": "00000000-0000-7000-8000-000000000000"});
    for body in [other, unknown] {
        let answer = relay.rest.post("send", body).await?;
        assert!(answer.status == 422 && answer.text.contains("/replyTo"), "{}", answer.text);
    }
    relay.end().await
}

async fn the_account_reacts_and_takes_it_back(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let question = relay.messages(USER).await?.into_iter().find(|message| message["author"] == "user");
    let question = question.context("no question")?;
    let path = format!("messages/{}/reaction", question["messageId"].as_str().unwrap_or_default());
    let seen = |relay: &Relay| {
        let thread = relay.simulator.thread(ACCOUNT, USER);
        thread.and_then(|thread| thread.messages.first()?.reactions.get(ACCOUNT).cloned())
    };
    let answer = relay.rest.post(&path, json!({"reaction": "❤"})).await?;
    assert_eq!(
        (answer.status, &answer.json["metadata"]["ourReaction"]),
        (200, &json!("❤")),
        "{}",
        answer.text
    );
    assert_eq!(seen(&relay).as_deref(), Some("❤"));
    assert_eq!(relay.rest.post(&path, json!({"reaction": "two words"})).await?.status, 422);
    let events = relay.rest.get("activities?kind=INSTAGRAM_MESSAGE_REACTION").await?;
    assert_eq!(events.json["items"].as_array().map(Vec::len), Some(1), "{}", events.text);
    let answer = relay.rest.request("DELETE", &agent_path(&path), None, &[]).await?;
    assert_eq!(
        (answer.status, &answer.json["metadata"]["ourReaction"]),
        (200, &Value::Null),
        "{}",
        answer.text
    );
    assert_eq!(seen(&relay), None);
    // The agent still answers.
    relay.simulator.say(ACCOUNT, USER, "still there?");
    relay.replies(USER, 2).await?;
    relay.end().await
}

async fn a_customer_sees_that_somebody_reads_and_writes(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.worker.typing_interval = Duration::from_millis(150))
            .await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 900, ..AgentRule::default() });
    let shown = |action: &str| {
        relay
            .simulator
            .record(|record| record.sender_actions.iter().filter(|one| one.action == action).count())
    };
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    // Again and again while the agent takes its time, and no more once it has answered.
    let typing = shown("typing_on");
    assert!((2..=7).contains(&typing), "{typing}");
    assert_eq!(shown("mark_seen"), 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(shown("typing_on"), typing);
    // Who only looks at what the agent answers shows nothing; in a chat of people the customer sees it, once.
    let messages = relay.messages(USER).await?;
    let chat = messages[0]["chatId"].as_str().context("no chat")?;
    let read = async || relay.rest.post(&format!("chats/{chat}/read"), json!({})).await;
    assert_eq!(read().await?.status, 200);
    relay.rest.post(&format!("chats/{chat}/takeover"), json!({})).await?;
    relay.simulator.say(ACCOUNT, USER, "anybody there?");
    relay.settled().await?;
    assert_eq!((read().await?.status, read().await?.status), (200, 200));
    dmrelay_tests::wait::until("the customer sees it", Duration::from_secs(5), async || {
        Ok((shown("mark_seen") == 2).then_some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown("mark_seen"), 2);
    relay.end().await
}

async fn unanswerable_recipients_are_rejected_at_once(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let stranger = relay.rest.post("send", json!({"instagramUserId": "299", "message": "hi"})).await?;
    assert_eq!(
        (stranger.status, &stranger.json["type"]),
        (404, &json!("urn:dmrelay:problem:unknown-recipient"))
    );
    relay.store.connection().execute_unprepared("UPDATE chats SET window_expires_at = 1").await?;
    let late = relay.rest.post("send", json!({"instagramUserId": USER, "message": "hi"})).await?;
    assert_eq!((late.status, &late.json["type"]), (409, &json!("urn:dmrelay:problem:window-closed")));
    assert_eq!(relay.sent(USER).len(), 1);
    relay.end().await
}

async fn an_answer_in_progress_is_not_sent_after_a_human_writes(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    relay.simulator.put_agent(AGENT, AgentRule { latency_ms: 800, ..AgentRule::default() });
    relay.simulator.act(dmrelay_simulator::Act::new(ACCOUNT, USER, Action::text("and now?")));
    relay
        .simulator
        .wait_for("the question", Duration::from_secs(10), |record| record.calls_of("retell.completion") == 2)
        .await?;
    assert_eq!(
        relay.rest.post("send", json!({"instagramUserId": USER, "message": "I am here"})).await?.status,
        202
    );
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "I am here"]);
    relay.end().await
}
