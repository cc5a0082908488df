use serde_json::{Value, json};

use super::{ANNA, DEADLINE, PAGE_SHOP, SHOP, Setup};
use crate::{AccountSpec, Act, Action};

/// The webhook received for an action.
async fn told(setup: &Setup, action: Value) -> anyhow::Result<Value> {
    let before = super::locked(&setup.receiver.inbox.received).len();
    setup.sim.act(Act::new(SHOP, ANNA, serde_json::from_value::<Action>(action)?));
    setup.receiver.received(before + 1).await?[before].json()
}

/// An action, the key of its item, and the value under it (except the mid of a new message).
fn kinds() -> Vec<(Value, &'static str, Value)> {
    vec![
        (
            json!({"kind": "quick_reply", "title": "Red", "payload": "RED"}),
            "message",
            json!({"text": "Red", "quick_reply": {"payload": "RED"}}),
        ),
        (
            json!({"kind": "postback", "title": "Hours?", "payload": "HOURS", "withoutMid": true}),
            "postback",
            json!({"title": "Hours?", "payload": "HOURS"}),
        ),
        (
            json!({"kind": "attachments", "attachments": [{"type": "image", "payload": {"url": "https://a/b"}}]}),
            "message",
            json!({"attachments": [{"type": "image", "payload": {"url": "https://a/b"}}]}),
        ),
        (
            json!({"kind": "story_reply", "text": "wow", "storyId": "1", "url": "https://a/s"}),
            "message",
            json!({"text": "wow", "reply_to": {"story": {"id": "1", "url": "https://a/s"}}}),
        ),
        (json!({"kind": "unsupported"}), "message", json!({"is_unsupported": true})),
        (json!({"kind": "unsend", "mid": "m1"}), "message", json!({"mid": "m1", "is_deleted": true})),
        (
            json!({"kind": "edit", "mid": "m1", "text": "new"}),
            "message_edit",
            json!({"mid": "m1", "text": "new", "num_edit": 1}),
        ),
        (json!({"kind": "read", "mid": "m1"}), "read", json!({"mid": "m1"})),
        (
            json!({"kind": "reaction", "mid": "m1", "reaction": "love", "emoji": "❤️"}),
            "reaction",
            json!({"mid": "m1", "action": "react", "reaction": "love", "emoji": "❤️"}),
        ),
        (
            json!({"kind": "reaction", "mid": "m1", "unreact": true}),
            "reaction",
            json!({"mid": "m1", "action": "unreact"}),
        ),
        (
            json!({"kind": "referral", "reference": "summer_qr"}),
            "referral",
            json!({"ref": "summer_qr", "source": "SHORTLINKS", "type": "OPEN_THREAD"}),
        ),
    ]
}

#[tokio::test]
async fn each_kind_has_the_shape_of_metas_samples() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for (action, key, expected) in kinds() {
        let body = told(&setup, action.clone()).await?;
        let item = &body["entry"][0]["messaging"][0];
        assert_eq!((&item["sender"]["id"], &item["recipient"]["id"]), (&json!(ANNA), &json!(SHOP)));
        let mut found = item[key].clone();
        if expected["mid"].is_null()
            && let Some(object) = found.as_object_mut()
        {
            object.remove("mid");
        }
        assert_eq!(found, expected, "{action}");
    }
    Ok(())
}

#[tokio::test]
async fn comments_come_in_both_shapes() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let usual = told(&setup, json!({"kind": "comment", "text": "nice"})).await?;
    assert_eq!(usual["entry"][0]["changes"][0]["field"], "comments");
    assert_eq!(usual["entry"][0]["changes"][0]["value"]["from"]["id"], ANNA);
    assert!(usual["entry"][0]["time"].as_i64().is_some_and(|seconds| seconds < 10_000_000_000));
    let flat = told(&setup, json!({"kind": "comment", "text": "nice", "flat": true, "live": true})).await?;
    assert_eq!(flat["entry"][0]["field"], "live_comments");
    assert_eq!(flat["entry"][0]["value"]["text"], "nice");
    Ok(())
}

#[tokio::test]
async fn only_subscribed_fields_are_delivered() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let spec = AccountSpec::new(SHOP, "shop", "IGAA-shop");
    setup.sim.put_account(AccountSpec { subscribed_fields: Some(vec!["messages".to_owned()]), ..spec });
    setup.sim.act(Act::new(SHOP, ANNA, Action::Read { mid: "m".to_owned() }));
    let mid = setup.sim.say(SHOP, ANNA, "hi");
    setup.sim.say("17841499999999999", ANNA, "to an account nobody knows");
    assert_eq!(setup.receiver.received(1).await?[0].item()?["message"]["mid"], mid.as_str());
    setup.sim.wait_for("the rest to be counted", DEADLINE, |record| record.undelivered_updates == 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_native_message_is_an_echo_with_an_unknown_mid() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let body = told(&setup, json!({"kind": "native", "text": "it's me"})).await?;
    let item = &body["entry"][0]["messaging"][0];
    assert_eq!((&item["sender"]["id"], &item["message"]["is_echo"]), (&json!(SHOP), &json!(true)));
    assert!(item["message"].get("app_id").is_none());
    Ok(())
}

#[tokio::test]
async fn a_thread_of_another_app_comes_as_standby() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let person = serde_json::from_value(json!({"name": null, "username": "anna", "standby": true}))?;
    setup.sim.set_person(SHOP, ANNA, person);
    let body = told(&setup, json!({"kind": "text", "text": "hi"})).await?;
    assert_eq!(body["entry"][0]["standby"][0]["message"]["text"], "hi");
    Ok(())
}

#[tokio::test]
async fn raw_items_go_through_unchanged() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let item = json!({"anything": {"goes": [1, null]}});
    let body = told(&setup, json!({"kind": "raw", "item": item, "field": "messages"})).await?;
    assert_eq!(body["entry"][0]["messaging"][0], item);
    setup.sim.say(PAGE_SHOP, ANNA, "to the page");
    assert_eq!(setup.receiver.received(2).await?[1].json()?["entry"][0]["id"], PAGE_SHOP);
    Ok(())
}
