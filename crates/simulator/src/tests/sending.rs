use std::time::Duration;

use serde_json::{Value, json};

use super::{ANNA, DEADLINE, PAGE, PAGE_SHOP, SHOP, Setup, code_of, text_to};
use crate::{Act, Action, Author, Echo, Person};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn the_answer_and_the_echo_name_the_same_message() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "hi");
    let (status, sent) = setup.send_text("Hello ä").await?;
    assert_eq!((status, sent["recipient_id"].as_str()), (200, Some(ANNA)));
    let echo = setup.receiver.received(2).await?[1].item()?;
    assert_eq!(echo["sender"]["id"], SHOP);
    assert_eq!(echo["recipient"]["id"], ANNA);
    assert_eq!(echo["message"], json!({"mid": sent["message_id"], "text": "Hello ä", "is_echo": true}));
    setup.sim.record(|record| {
        assert_eq!(record.send_count, 1);
        assert_eq!(record.sends_to(SHOP, ANNA).next().and_then(|sent| sent.text.as_deref()), Some("Hello ä"));
        assert_eq!(record.reply_latency.count(), 1);
    });
    Ok(())
}

#[tokio::test]
async fn the_echo_can_come_before_the_answer() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.configure(|settings| settings.graph.echo = Echo::First);
    setup.sim.say(SHOP, ANNA, "hi");
    let (_, sent) = setup.send_text("Hello").await?;
    let came = super::locked(&setup.receiver.inbox.received).clone();
    assert_eq!(
        came.last().map(super::Received::item).transpose()?.unwrap_or_default()["message"]["mid"],
        sent["message_id"]
    );
    Ok(())
}

#[tokio::test]
async fn forms_are_read_like_json() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "hi");
    let url = format!("{}/v25.0/me/messages", setup.sim.instagram_url());
    let form =
        format!("recipient=%7B%22id%22%3A%22{ANNA}%22%7D&message[text]=by+form&access_token=IGAA-shop");
    let part = |name: &str, value: &str| {
        format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let recipient = part("recipient", &format!(r#"{{"id":"{ANNA}"}}"#));
    let parts = recipient + &part("message", r#"{"text":"by parts"}"#);
    for (kind, body) in [
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=cut", format!("{parts}--cut--\r\n")),
    ] {
        let request = setup.client.post(&url).header("content-type", kind).body(body);
        let request = if kind.starts_with('m') { request.bearer_auth("IGAA-shop") } else { request };
        let (status, answer) = super::answer(request).await?;
        assert_eq!((status, answer["recipient_id"].as_str()), (200, Some(ANNA)), "{kind}: {answer}");
    }
    let broken = setup
        .client
        .post(&url)
        .bearer_auth("IGAA-shop")
        .header("content-type", "multipart/form-data; boundary=cut");
    assert_eq!(code_of(&super::answer(broken.body("--cut\r\nnothing")).await?).1, 100);
    let sent = setup.sim.record(|record| {
        record.sends_to(SHOP, ANNA).map(|sent| sent.text.clone().unwrap_or_default()).collect::<Vec<_>>()
    });
    assert_eq!(sent, ["by form", "by parts"]);
    Ok(())
}

#[tokio::test]
async fn a_page_sends_with_its_own_id() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(PAGE_SHOP, ANNA, "hi");
    assert_eq!(setup.page_post(&format!("/v25.0/{PAGE}/messages"), &text_to(ANNA, "x")).await?.0, 200);
    assert_eq!(setup.page_post("/me/messages", &text_to(ANNA, "x")).await?.0, 200);
    assert_eq!(
        code_of(&setup.page_post(&format!("/{PAGE_SHOP}/messages"), &text_to(ANNA, "x")).await?).1,
        100
    );
    Ok(())
}

#[tokio::test]
async fn the_window_is_a_day_and_a_week_for_human_agents() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let human = json!({
        "recipient": {"id": ANNA}, "message": {"text": "x"}, "messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT",
    });
    setup.sim.say(SHOP, ANNA, "hi");
    setup.sim.advance(HOUR * 23);
    assert_eq!(setup.send_text("in time").await?.0, 200);
    setup.sim.advance(HOUR * 2);
    assert_eq!(code_of(&setup.send_text("too late").await?), (403, 10, Some(2_534_022)));
    assert_eq!(setup.post("/me/messages", &human).await?.0, 200);
    setup.sim.advance(HOUR * 24 * 7);
    assert_eq!(code_of(&setup.post("/me/messages", &human).await?), (403, 10, Some(2_534_022)));
    // A story mention opens it again; a read does not.
    setup.sim.act(Act::new(SHOP, ANNA, Action::Read { mid: "m".to_owned() }));
    assert_eq!(setup.send_text("still too late").await?.0, 403);
    setup.sim.act(Act::new(SHOP, ANNA, Action::StoryMention { url: "https://example.com/s".to_owned() }));
    assert_eq!(setup.send_text("open again").await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn unreachable_recipients_are_rejected() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    assert_eq!(code_of(&setup.send_text("x").await?), (400, 100, Some(2_534_014)));
    setup.sim.say(SHOP, ANNA, "hi");
    let person = |extra: Value| -> anyhow::Result<Person> {
        let mut person = json!({"name": "Anna", "username": "anna"});
        person[extra.as_str().unwrap_or_default()] = json!(true);
        Ok(serde_json::from_value(person)?)
    };
    setup.sim.set_person(SHOP, ANNA, person(json!("unavailable"))?);
    assert_eq!(code_of(&setup.send_text("x").await?), (400, 551, Some(1_545_041)));
    setup.sim.set_person(SHOP, ANNA, person(json!("standby"))?);
    assert_eq!(code_of(&setup.send_text("x").await?), (403, 10, Some(2_018_300)));
    Ok(())
}

#[tokio::test]
async fn limits_and_tags_are_enforced_on_the_wire() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "hi");
    assert_eq!(setup.send_text(&"ä".repeat(500)).await?.0, 200);
    assert_eq!(code_of(&setup.send_text(&"ä".repeat(501)).await?), (400, 100, None));
    let mut tagged = text_to(ANNA, "x");
    tagged["tag"] = json!("ACCOUNT_UPDATE");
    assert_eq!(code_of(&setup.post("/me/messages", &tagged).await?).1, 100);
    setup.sim.configure(|settings| settings.graph.sends_per_second = Some(0));
    assert_eq!(code_of(&setup.send_text("x").await?), (400, 613, None));
    Ok(())
}

#[tokio::test]
async fn sender_actions_answer_without_a_message_id() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let mid = setup.sim.say(SHOP, ANNA, "hi");
    let action = |action: &str| json!({"recipient": {"id": ANNA}, "sender_action": action});
    for name in ["mark_seen", "typing_on", "typing_off"] {
        assert_eq!(setup.post("/me/messages", &action(name)).await?, (200, json!({"recipient_id": ANNA})));
    }
    let mut react = action("react");
    assert_eq!(setup.post("/me/messages", &react).await?.0, 400);
    react["payload"] = json!({"message_id": mid, "reaction": "love"});
    assert_eq!(setup.post("/me/messages", &react).await?.0, 200);
    assert_eq!(code_of(&setup.post("/me/messages", &action("dance")).await?).1, 100);
    let actions = setup
        .sim
        .record(|record| record.sender_actions.iter().map(|one| one.action.clone()).collect::<Vec<_>>());
    assert_eq!(actions, ["mark_seen", "typing_on", "typing_off", "react"]);
    Ok(())
}

#[tokio::test]
async fn a_comment_gets_one_private_reply() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let comment =
        || serde_json::from_value::<Action>(json!({"kind": "comment", "text": "Where can I buy it?"}));
    let first = setup.sim.act(Act::new(SHOP, ANNA, comment()?)).unwrap_or_default();
    let reply = |id: &str| json!({"recipient": {"comment_id": id}, "message": {"text": "Here"}});
    let (status, sent) = setup.post("/me/messages", &reply(&first)).await?;
    assert_eq!((status, sent["recipient_id"].as_str()), (200, Some(ANNA)));
    assert_eq!(code_of(&setup.post("/me/messages", &reply(&first)).await?).1, 10900);
    // It opens no window.
    assert_eq!(code_of(&setup.send_text("x").await?), (403, 10, Some(2_534_022)));
    let second = setup.sim.act(Act::new(SHOP, ANNA, comment()?)).unwrap_or_default();
    setup.sim.advance(HOUR * 24 * 8);
    assert_eq!(code_of(&setup.post("/me/messages", &reply(&second)).await?).1, 10904);
    Ok(())
}

#[tokio::test]
async fn the_thread_shows_who_wrote_what() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "one");
    setup.send_text("two").await?;
    setup.sim.act(Act::new(SHOP, ANNA, Action::native("three")));
    let thread = setup.sim.thread(SHOP, ANNA);
    let said: Vec<_> =
        thread.into_iter().flat_map(|thread| thread.messages).map(|said| (said.author, said.text)).collect();
    let expected = [(Author::Customer, "one"), (Author::Api, "two"), (Author::App, "three")];
    assert_eq!(said, expected.map(|(author, text)| (author, Some(text.to_owned()))));
    setup.sim.wait_for("three webhooks", DEADLINE, |record| record.acknowledged == 3).await?;
    Ok(())
}
