use super::*;

fn faults(message: &Value) -> Vec<String> {
    match Outgoing::from_json(message) {
        Ok(_) => Vec::new(),
        Err(err) => err.faults.into_iter().map(|fault| fault.pointer).collect(),
    }
}

fn attachment(kind: &str, payload: &Value) -> Value {
    json!({"attachment": {"type": kind, "payload": payload}})
}

fn generic(element: &Value) -> Value {
    attachment("template", &json!({"template_type": "generic", "elements": [element]}))
}

#[test]
fn what_graph_rejects_is_rejected_with_its_place() {
    let quick = |reply: Value| json!({"text": "Pick", "quick_replies": [reply]});
    let image = json!({"type": "image", "payload": {"url": "https://example.com/a.jpg"}});
    let video = json!({"type": "video", "payload": {"url": "https://example.com/a.mp4"}});
    for (message, places) in [
        (json!("x"), vec![""]),
        (json!({}), vec![""]),
        (json!({"text": " "}), vec!["/text"]),
        (json!({"text": 5}), vec!["/text"]),
        (json!({"text": "a\u{0}"}), vec![""]),
        (json!({"text": "ä".repeat(501)}), vec!["/text"]),
        (json!({"text": "a", "unknown": 1}), vec!["/unknown"]),
        (json!({"text": "a", "quick_replies": []}), vec!["/quick_replies"]),
        (json!({"text": "a", "attachment": image}), vec!["/attachment"]),
        (
            json!({"attachment": image, "quick_replies": [{"content_type": "text", "title": "a", "payload": "b"}]}),
            vec!["/quick_replies"],
        ),
        (
            quick(json!({"content_type": "user_email"})),
            vec!["/quick_replies/0/content_type", "/quick_replies/0/title", "/quick_replies/0/payload"],
        ),
        (
            quick(json!({"content_type": "text", "title": "t".repeat(21), "payload": "p".repeat(1_001)})),
            vec!["/quick_replies/0/title", "/quick_replies/0/payload"],
        ),
        (json!({"attachment": {"type": "exe"}}), vec!["/attachment/type"]),
        (attachment("image", &json!({"url": "http://example.com/a.jpg"})), vec!["/attachment/payload/url"]),
        (attachment("image", &json!({"url": "https://localhost/a.jpg"})), vec!["/attachment/payload/url"]),
        (attachment("image", &json!({"url": "https://127.0.0.1/a.jpg"})), vec!["/attachment/payload/url"]),
        (attachment("image", &json!({"url": "https://example.com/a.webp"})), vec!["/attachment/payload/url"]),
        (
            attachment("audio", &json!({"url": "https://example.com/a.MP3?x=1"})),
            vec!["/attachment/payload/url"],
        ),
        (attachment("audio", &json!({"url": "https://example.com/a.ogg"})), vec!["/attachment/payload/url"]),
        (attachment("file", &json!({"url": "https://example.com/a.docx"})), vec!["/attachment/payload/url"]),
        (attachment("image", &json!({})), vec!["/attachment/payload"]),
        (attachment("image", &json!({"attachment_id": "1/2"})), vec!["/attachment/payload/attachment_id"]),
        (
            attachment("image", &json!({"attachment_id": "1", "url": "https://example.com/a"})),
            vec!["/attachment/payload/attachment_id"],
        ),
        (attachment("like_heart", &json!({})), vec!["/attachment/payload"]),
        (attachment("MEDIA_SHARE", &json!({})), vec!["/attachment/payload/id"]),
        (json!({"attachments": [image, video]}), vec!["/attachments/1/type"]),
        (json!({"attachments": vec![image; 11]}), vec!["/attachments"]),
    ] {
        assert_eq!(faults(&message), places, "{message}");
    }
}

#[test]
fn a_template_that_graph_rejects_is_rejected_with_its_place() {
    let button = |button: Value| {
        attachment("template", &json!({"template_type": "button", "text": "t", "buttons": [button]}))
    };
    for (message, places) in [
        (attachment("template", &json!({})), vec!["/attachment/payload/template_type"]),
        (
            attachment("template", &json!({"template_type": "receipt"})),
            vec!["/attachment/payload/template_type"],
        ),
        (generic(&json!({"title": "alone"})), vec!["/attachment/payload/elements/0"]),
        (
            generic(&json!({"title": "t".repeat(81), "subtitle": "s".repeat(81)})),
            vec!["/attachment/payload/elements/0/title", "/attachment/payload/elements/0/subtitle"],
        ),
        (
            generic(&json!({"title": "t", "image_url": "ftp://x", "default_action": {"type": "postback"}})),
            vec![
                "/attachment/payload/elements/0/image_url",
                "/attachment/payload/elements/0/default_action/type",
                "/attachment/payload/elements/0/default_action/url",
            ],
        ),
        (button(json!({"type": "phone", "title": "t"})), vec!["/attachment/payload/buttons/0/type"]),
        (
            button(json!({"type": "web_url", "title": "t".repeat(21), "payload": "p"})),
            vec![
                "/attachment/payload/buttons/0/title",
                "/attachment/payload/buttons/0/url",
                "/attachment/payload/buttons/0/payload",
            ],
        ),
        (button(json!({"type": "postback", "title": "t"})), vec!["/attachment/payload/buttons/0/payload"]),
        (
            attachment(
                "template",
                &json!({"template_type": "button", "text": "t".repeat(641), "buttons": []}),
            ),
            vec!["/attachment/payload/text", "/attachment/payload/buttons"],
        ),
        (
            attachment("template", &json!({"template_type": "product", "elements": [{"id": ""}]})),
            vec!["/attachment/payload/elements/0/id"],
        ),
    ] {
        assert_eq!(faults(&message), places, "{message}");
    }
}

#[test]
fn what_graph_accepts_passes_unchanged() {
    let image = json!({"type": "image", "payload": {"url": "https://example.com/a.jpg"}});
    let card = json!({
        "title": "Vase", "subtitle": "Blue", "image_url": "https://example.com/vase.png",
        "default_action": {"type": "web_url", "url": "https://example.com/vase"},
        "buttons": [
            {"type": "web_url", "title": "Look", "url": "https://example.com/vase"},
            {"type": "postback", "title": "Order", "payload": "ORDER_VASE"},
        ],
    });
    for (message, kind) in [
        (json!({"text": "ä".repeat(500)}), "text"),
        (json!({"text": "a \\u0000 in words"}), "text"),
        (
            json!({"text": "Pick", "quick_replies": [{"content_type": "text", "title": "Red", "payload": "RED"}]}),
            "text",
        ),
        (json!({"attachment": image}), "image"),
        (json!({"attachments": vec![image; 10]}), "image"),
        // What has no extension that says otherwise, Meta looks at.
        (attachment("audio", &json!({"url": "https://example.com/voice", "is_reusable": true})), "audio"),
        (attachment("video", &json!({"attachment_id": "1234567"})), "video"),
        (attachment("file", &json!({"url": "https://example.com/Terms.PDF"})), "file"),
        (json!({"attachment": {"type": "like_heart"}}), "like_heart"),
        (attachment("MEDIA_SHARE", &json!({"id": "17900000000000001"})), "media_share"),
        (generic(&card), "template"),
        (attachment("template", &json!({"template_type": "product", "elements": [{"id": "1"}]})), "template"),
    ] {
        let outgoing = Outgoing::from_json(&message).unwrap();
        assert_eq!((outgoing.as_json(), outgoing.kind()), (&message, kind));
        assert_eq!(outgoing.needs_facebook_login(), message.to_string().contains("\"product\""));
    }
    assert_eq!(Outgoing::text("hi").unwrap().as_text(), Some("hi"));
    assert_eq!(Outgoing::text(" ").unwrap_err().to_string(), "must not be empty");
}
