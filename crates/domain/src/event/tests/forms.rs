//! The same things in the several forms that Meta sends, and rare ones.

use crate::event::*;
use serde_json::{Value, json};

/// The content and the kind of an item of account 1, given without the parties.
fn told(mut item: Value) -> (Content, Kind, String) {
    item["timestamp"] = 1.into();
    let body = json!({"object": "instagram", "entry": [{"id": "1", "time": 1, "messaging": [item]}]});
    let event = parse(body.to_string().as_bytes(), 1).events.remove(0);
    (read(event.container, "1", &event.raw).unwrap().content, event.kind, event.thread)
}

fn from_customer(key: &str, value: &Value) -> Value {
    json!({"sender": {"id": "2"}, "recipient": {"id": "1"}, key: value})
}

fn attached(list: &Value) -> Vec<Attachment> {
    let message = json!({"mid": "m", "attachments": list});
    let Content::Message(message) = told(from_customer("message", &message)).0 else { panic!() };
    message.attachments
}

#[test]
fn attachments_come_in_several_forms() {
    let one = |kind: &str, payload: Value| attached(&json!([{"type": kind, "payload": payload}])).remove(0);
    let story = one("ig_story", json!({"story_media_id": "7", "story_media_url": "https://s"}));
    assert_eq!((story.url.as_deref(), &story.more["story_media_id"]), (Some("https://s"), &"7".into()));
    let post = one("post", json!({"url": "https://p", "title": "Shoes", "id": "8"}));
    assert_eq!((post.title.as_deref(), &post.more["id"]), (Some("Shoes"), &"8".into()));
    let reel = one("ig_reel", json!({"reel_video_id": 9, "url": "https://r"}));
    assert_eq!(reel.more["reel_video_id"], 9);
    let elements = json!({"elements": [{"id": "5", "title": "Red shoe"}]});
    assert_eq!(one("template", json!({"product": elements})).more["product"], elements);
    // Outside the payload; an object for a list.
    let fallback = json!({"type": "fallback", "payload": null, "title": "t", "url": "https://f"});
    let fallback = attached(&fallback).remove(0);
    assert_eq!((fallback.title.as_deref(), fallback.url.as_deref()), (Some("t"), Some("https://f")));
}

#[test]
fn what_is_told_in_the_old_and_in_the_new_word_is_one_attachment() {
    let share = json!({"type": "share", "payload": {"url": "https://a", "title": "Shoes"}});
    let post = json!({"type": "ig_post", "payload": {"url": "https://b", "ig_post_media_id": "3"}});
    let image = json!({"type": "image", "payload": {"url": "https://c", "sticker_id": "4"}});
    let sticker = json!({"type": "sticker", "payload": {"sticker_id": "4"}});
    for list in [json!([share, post]), json!([post, share])] {
        let list = attached(&list);
        assert_eq!((list.len(), list[0].kind.as_str()), (1, "ig_post"));
        assert_eq!(
            (list[0].title.as_deref(), &list[0].more["ig_post_media_id"]),
            (Some("Shoes"), &"3".into())
        );
    }
    for list in [json!([image, sticker]), json!([sticker, image, image])] {
        let list = attached(&list);
        assert_eq!(
            (list.len(), list[0].kind.as_str(), list[0].url.as_deref()),
            (1, "sticker", Some("https://c"))
        );
    }
    let other = json!({"type": "image", "payload": {"url": "https://d"}});
    assert_eq!(attached(&json!([image, other, sticker])).len(), 2);
    let hidden = json!({"type": "ephemeral"});
    assert_eq!(attached(&json!([hidden, hidden])).len(), 2);
    assert_eq!(attached(&json!([share]))[0].kind, "share");
}

#[test]
fn nothing_that_meta_tells_of_a_message_is_dropped() {
    let referral = json!({"ref": "r", "source": "ADS", "type": "OPEN_THREAD", "ad_id": "1",
        "ads_context_data": {"ad_title": "Sale", "flow_id": "2"}, "product": {"id": "3", "name": "Shoe"}});
    let message = json!({"mid": "m", "text": "Red", "quick_reply": {"payload": "RED"}, "referral": referral,
        "reply_to": {"mid": "n", "is_self_reply": true}, "of_later": [1]});
    let Content::Message(message) = told(from_customer("message", &message)).0 else { panic!() };
    let metadata = Value::from(crate::message::metadata_of(&message));
    assert_eq!(metadata["quickReply"]["payload"], "RED");
    assert_eq!(metadata["more"], json!({"is_self_reply": true, "of_later": [1]}));
    for name in ["ref", "source", "type", "ad_id", "ads_context_data", "product"] {
        assert_eq!(metadata["referral"][name], referral[name], "{name}");
    }
    assert_eq!(metadata["referral"]["product_id"], "3");
    assert_eq!(serde_json::from_value::<Referral>(metadata["referral"].clone()).ok(), message.referral);
}

#[test]
fn a_message_that_says_more_than_unsupported_is_read() {
    let bare = json!({"mid": "m", "is_unsupported": true, "reply_to": {"mid": "n"}});
    let Content::Unsupported(message) = told(from_customer("message", &bare)).0 else { panic!() };
    assert_eq!(message.reply_to, Some(ReplyTo::Mid("n".into())));
    let text = json!({"mid": "m", "is_unsupported": true, "text": "hi"});
    assert_eq!(told(from_customer("message", &text)).1, Kind::Message);
}

#[test]
fn items_without_a_sender_and_rare_kinds_are_read() {
    let policy =
        json!({"recipient": {"id": "1"}, "policy_enforcement": {"action": "block", "reason": "spam"}});
    let (content, kind, thread) = told(policy);
    let (action, reason) = (Some("block".to_owned()), Some("spam".to_owned()));
    assert_eq!(
        (content, kind, thread.as_str()),
        (Content::PolicyEnforcement { action, reason }, Kind::PolicyEnforcement, "")
    );
    let echo = json!({"recipient": {"id": "2"}, "message": {"mid": "m", "text": "x", "is_echo": true}});
    let (_, kind, thread) = told(echo);
    assert_eq!((kind, thread.as_str()), (Kind::Echo, "2"));
    for source in ["STORY_MENTION", "story_mention"] {
        let (content, kind, _) = told(from_customer("referral", &json!({"source": source})));
        assert!(matches!(content, Content::StoryMention { .. }) && kind == Kind::Message, "{content:?}");
    }
    let rated = json!({"mid": "m", "feedback": "Good response"});
    let feedback = Content::Feedback { mid: "m".into(), feedback: "Good response".into() };
    assert_eq!(told(from_customer("response_feedback", &rated)).0, feedback);
    assert_eq!(told(from_customer("delivery", &json!({"mids": ["m"]}))).1, Kind::Ignored);
    // Not understood, and called what Meta calls it; two of them are two, whatever mid they name.
    let [one, other] = ["a", "b"].map(|x| from_customer("of_later", &json!({"mid": "m", "x": x})));
    let item = |item: &Value| read(Container::Messaging, "1", item.to_string().as_bytes()).unwrap();
    assert_eq!((item(&one).wire.as_str(), item(&one).content), ("of_later", Content::Unknown));
    assert_ne!(item(&one).key("1", Container::Messaging), item(&other).key("1", Container::Messaging));
}
