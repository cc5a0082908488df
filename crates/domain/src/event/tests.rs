//! Every sample of Meta's documentation, and properties that hold for any bytes.

mod forms;

use super::*;
use proptest::prelude::*;

/// One sample per line: name, tab, body. Completed samples from Meta's documentation.
const SAMPLES: &str = include_str!("samples.tsv");

fn sample(name: &str) -> &'static [u8] {
    SAMPLES
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .find(|(sample, _)| *sample == name)
        .map_or_else(|| panic!("no sample {name}"), |(_, body)| body.as_bytes())
}

fn only(name: &str) -> Event {
    let mut events = parse(sample(name), 7).events;
    assert_eq!(events.len(), 1, "{name}");
    events.remove(0)
}

fn content(name: &str) -> Content {
    let event = only(name);
    read(event.container, &event.account, &event.raw).unwrap().content
}

#[test]
fn the_documented_samples_are_recognized() {
    for (name, kind) in [
        ("doc_audio_attachment", Kind::Message),
        ("doc_comment_changes_ad", Kind::Comment),
        ("doc_comment_flat_entry", Kind::Comment),
        ("doc_comment_self", Kind::Ignored),
        ("doc_ctd_ad_referral_in_message", Kind::Message),
        ("doc_ephemeral_media", Kind::Message),
        ("doc_fallback_attachment", Kind::Echo),
        ("doc_igme_existing_thread_referral", Kind::Referral),
        ("doc_igme_icebreaker_postback_referral", Kind::Postback),
        ("doc_igme_new_thread_message_referral", Kind::Message),
        ("doc_live_comment", Kind::Comment),
        ("doc_mention_in_caption", Kind::Mention),
        ("doc_mention_in_comment", Kind::Mention),
        ("doc_message_edit", Kind::Edit),
        ("doc_multi_attachments", Kind::Message),
        ("doc_page_pass_thread_control_hop_context", Kind::Ignored),
        ("doc_pass_thread_control", Kind::Handover),
        ("doc_phone_quick_reply", Kind::Message),
        ("doc_product_referral_in_message", Kind::Message),
        ("doc_reaction_react", Kind::Reaction),
        ("doc_reaction_unreact", Kind::Reaction),
        ("doc_reply_to_message", Kind::Message),
        ("doc_seen", Kind::Read),
        ("doc_self_echo", Kind::Ignored),
        ("doc_self_postback", Kind::Ignored),
        ("doc_standby_echo_template_page", Kind::Ignored),
        ("doc_take_thread_control", Kind::Handover),
        ("doc_unsend", Kind::Unsend),
    ] {
        assert_eq!(only(name).kind, kind, "{name}");
    }
}

#[test]
fn the_thread_belongs_to_the_customer_in_both_directions() {
    let message = only("doc_reply_to_message");
    let echo = only("doc_fallback_attachment");
    assert_eq!(message.account, "17841400000000000");
    assert_eq!(message.thread, "200000000000001");
    assert_eq!(message.at, 1_772_998_023_000);
    assert_eq!(echo.thread, "200000000000001");
}

#[test]
fn the_content_of_a_message_is_parsed() {
    let Content::Message(message) = content("doc_multi_attachments") else { panic!() };
    let kinds: Vec<_> = message.attachments.iter().map(|a| a.kind.as_str()).collect();
    assert_eq!(kinds, ["image", "video"]);
    let Content::Message(message) = content("doc_phone_quick_reply") else { panic!() };
    assert_eq!(message.quick_reply.as_deref(), Some("+15551234567"));
    let Content::Message(message) = content("doc_reply_to_message") else { panic!() };
    assert_eq!(message.reply_to, Some(ReplyTo::Mid("aWdfZAG1fEARLIER".into())));
    let Content::Postback(postback) = content("doc_igme_icebreaker_postback_referral") else { panic!() };
    assert_eq!(postback.title.as_deref(), Some("What are your opening hours?"));
    assert_eq!(postback.referral.unwrap().reference.as_deref(), Some("summer_qr"));
    let Content::Reaction(reaction) = content("doc_reaction_unreact") else { panic!() };
    assert_eq!(reaction.emoji, None);
}

#[test]
fn different_events_about_one_message_have_different_keys() {
    // All of these samples carry the same mid.
    let names = [
        "doc_reply_to_message",
        "doc_unsend",
        "doc_message_edit",
        "doc_reaction_react",
        "doc_reaction_unreact",
        "doc_seen",
        "doc_igme_icebreaker_postback_referral",
    ];
    let mut keys: Vec<_> = names.iter().map(|name| only(name).key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), names.len());
}

#[test]
fn a_redelivery_has_the_same_key_whatever_else_changed() {
    let first = only("doc_reply_to_message");
    let body = String::from_utf8(sample("doc_reply_to_message").to_vec()).unwrap();
    let again = body.replace(r#""text":"yes""#, r#""new_field":[1,2],"text":"yes""#);
    assert_eq!(parse(again.as_bytes(), 9).events[0].key, first.key);
    let other_account = body.replace("17841400000000000", "17841400000000001");
    assert_ne!(parse(other_account.as_bytes(), 9).events[0].key, first.key);
}

#[test]
fn a_shared_post_is_one_attachment() {
    let body = br#"{"object":"instagram","entry":[{"id":"1","time":1,"messaging":[{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1772998023000,"message":{"mid":"m","attachments":[{"type":"share","payload":{"url":"https:\/\/a"}},{"type":"ig_post","payload":{"url":"https:\/\/a","title":"t","ig_post_media_id":"3"}}]}}]}]}"#;
    let event = parse(body, 1).events.remove(0);
    let Content::Message(message) = read(event.container, "1", &event.raw).unwrap().content else { panic!() };
    assert_eq!(message.attachments.len(), 1);
    assert_eq!(message.attachments[0].kind, "ig_post");
}

#[test]
fn the_dashboards_test_is_ignored_in_both_forms() {
    for body in [
        &br#"{"object":"instagram","entry":[{"id":"0","time":1772998024,"changes":[{"field":"messages","value":{"sender":{"id":"12334"},"recipient":{"id":"23245"},"timestamp":"1527459824","message":{"mid":"random_mid","text":"random_text"}}}]}]}"#[..],
        br#"[{"object":"instagram","entry":[{"id":"0","time":1772998024,"messaging":[{"sender":{"id":"12334"},"recipient":{"id":"23245"},"timestamp":"1527459824","message":{"mid":"random_mid","text":"random_text"}}]}]}]"#,
    ] {
        let events = parse(body, 1).events;
        assert_eq!((events.len(), events[0].kind), (1, Kind::Ignored));
        assert_eq!(events[0].at, 1_527_459_824_000);
    }
}

#[test]
fn a_malformed_item_does_not_spoil_its_batch() {
    let body = br#"{"object":"instagram","entry":[{"id":"1","time":5,"messaging":[17,{"sender":{"id":2},"recipient":{"id":"1"},"timestamp":1772998023000,"message":{"mid":"m","text":"hi"}},{"new":true}]},{"time":[]},{"id":"3","messaging":"odd"}]}"#;
    let events = parse(body, 1).events;
    let kinds: Vec<_> = events.iter().map(|event| (event.account.as_str(), event.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("1", Kind::Unknown),
            ("1", Kind::Message),
            ("1", Kind::Unknown),
            ("", Kind::Unknown),
            ("3", Kind::Unknown)
        ]
    );
    assert_eq!(events[1].thread, "2");
}

#[test]
fn a_thousand_items_are_a_thousand_events() {
    let item = |n: usize| {
        format!(
            r#"{{"sender":{{"id":"2"}},"recipient":{{"id":"1"}},"timestamp":1772998023000,"message":{{"mid":"m{n}","text":"x"}}}}"#
        )
    };
    let items: Vec<_> = (0..1_000).map(item).collect();
    let body = format!(
        r#"{{"object":"instagram","entry":[{{"id":"1","time":1,"messaging":[{}]}}]}}"#,
        items.join(",")
    );
    let mut keys: Vec<_> = parse(body.as_bytes(), 1).events.iter().map(|event| event.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1_000);
}

#[test]
fn what_the_account_does_is_not_what_the_customer_does() {
    let own = |key: &str, value: serde_json::Value| {
        let item =
            serde_json::json!({"sender": {"id": "1"}, "recipient": {"id": "2"}, "timestamp": 1, key: value});
        let body = serde_json::json!({"object": "instagram", "entry": [{"id": "1", "messaging": [item]}]});
        let event = parse(body.to_string().as_bytes(), 1).events.remove(0);
        (event.kind, event.thread)
    };
    let mid = serde_json::json!({"mid": "m", "text": "x"});
    let echo = (Kind::Echo, "2".to_owned());
    assert_eq!(own("message", mid.clone()), echo);
    for more in [
        serde_json::json!({"mid": "m", "attachments": [{"type": "image", "payload": {}}]}),
        serde_json::json!({"mid": "m", "is_unsupported": true}),
        serde_json::json!({"mid": "m", "is_echo": false, "text": "x"}),
        serde_json::json!({"mid": "m", "quick_reply": {"payload": "p"}}),
    ] {
        assert_eq!(own("message", more), echo);
    }
    assert_eq!(own("message", serde_json::json!({"mid": "m", "is_deleted": true})).0, Kind::Unsend);
    assert_eq!(own("message_edit", mid.clone()).0, Kind::Edit);
    for key in ["reaction", "postback", "read", "referral"] {
        assert_eq!(own(key, mid.clone()).0, Kind::Ignored, "{key}");
    }
}

#[test]
fn half_an_emoji_spoils_nothing() {
    let message = r#"{"sender":{"id":"2"},"recipient":{"id":"1"},"timestamp":1772998023000,"message":{"mid":"m","text":"hi \ud83d"}}"#;
    for body in [
        format!(r#"{{"object":"instagram","entry":[{{"id":"1","time":1,"messaging":[{message}]}}]}}"#),
        format!(
            r#"{{"object":"instagram","\udead":1,"entry":[{{"id":"1","x":"\ud83d","messaging":[{message}]}}]}}"#
        ),
        format!(r#"{{"object":"instagram","entry":{{"id":"1","messaging":{message},"standby":null}}}}"#),
    ] {
        let events = parse(body.as_bytes(), 1).events;
        assert_eq!((events.len(), events[0].kind), (1, Kind::Message), "{body}");
        let Content::Message(read) = read(Container::Messaging, "1", &events[0].raw).unwrap().content else {
            panic!("{body}")
        };
        assert_eq!(read.text.as_deref(), Some("hi \u{fffd}"));
    }
}

/// Any JSON, of a few levels.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z_]{1,9}", inner, 0..3)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The JSON pointers of everything in a value, itself included.
fn places(value: &serde_json::Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), all));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, &format!("{at}/{n}"), all));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn whatever_becomes_of_an_item_the_others_are_read(
        item in 0..3_usize, place in any::<prop::sample::Index>(), value in any_json(),
    ) {
        let message = |n: usize| serde_json::json!({
            "sender": {"id": "2"}, "recipient": {"id": "1"}, "timestamp": 1_772_998_023_000_i64,
            "message": {"mid": format!("m{n}"), "text": "x", "attachments": [{"type": "image", "payload": {"url": "u"}}],
                "reply_to": {"story": {"id": "3", "url": "u"}}, "referral": {"ref": "r", "product": {"id": "4"}}},
        });
        let mut body = serde_json::json!({"object": "instagram", "entry": [
            {"id": "1", "time": 1, "messaging": [message(0), message(1)]},
            {"id": "1", "time": 1, "messaging": [message(2)]},
        ]});
        let before = parse(body.to_string().as_bytes(), 1).events;
        let pointer = ["/entry/0/messaging/0", "/entry/0/messaging/1", "/entry/1"][item];
        let mut all = Vec::new();
        places(body.pointer(pointer).unwrap(), pointer, &mut all);
        *body.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        let after = parse(body.to_string().as_bytes(), 1).events;
        for (n, event) in before.iter().enumerate().filter(|(n, _)| *n != item) {
            prop_assert!(after.iter().any(|kept| kept.key == event.key && kept.kind == event.kind), "{n}: {body}");
        }
    }

    #[test]
    fn any_bytes_become_events_that_store_them(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let events = parse(&body, 1).events;
        if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
            prop_assert_eq!(&events[0].raw, &body);
            prop_assert_eq!(events[0].kind, Kind::Unknown);
        }
    }

    #[test]
    fn any_json_in_an_item_is_stored(key in "[a-z_]{1,12}", value in ".{0,40}", number in any::<i64>()) {
        let item = serde_json::json!({ "sender": {"id": number}, key: { "mid": value, "is_echo": value } });
        let body = serde_json::json!({"object": "instagram", "entry": [{"id": number, "messaging": [item]}]});
        let events = parse(body.to_string().as_bytes(), 1).events;
        prop_assert_eq!(events.len(), 1);
        let kept: serde_json::Value = serde_json::from_slice(&events[0].raw).unwrap();
        prop_assert_eq!(kept, item);
    }
}
