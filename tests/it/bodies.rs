//! Bodies of calls: every fault is told at once, those that a schema shows and those that it cannot say.

use anyhow::{Context, Result};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{SUBACCOUNT, agent_path};
use serde_json::{Value, json};

on_both_backends!(every_fault_of_a_body_is_told_at_once);

/// A call, its body, and the places of all faults in it.
type Wrong = (&'static str, String, Value, &'static [&'static str]);

fn of_agent() -> Vec<Wrong> {
    let call = |path: &str| agent_path(path);
    let two = json!({"attachment": {"type": "exe"}, "quick_replies": []});
    let long = "é".repeat(999);
    vec![
        (
            "POST",
            call("send"),
            json!({"instagramUserId": "12/34", "message": two, "templateId": 7, "sentBy": "\u{7}"}),
            &[
                "/instagramUserId",
                "/templateId",
                "/templateId",
                "/message/attachment/type",
                "/message/quick_replies",
                "/message/quick_replies",
                "/sentBy",
            ],
        ),
        // Null is as if it were not there.
        ("POST", call("send"), json!({"instagramUserId": "1", "message": null}), &["/message"]),
        (
            "POST",
            call("send"),
            json!({"instagramUserId": "1", "message": {"text": "", "attachment": {"type": "image", "payload": {"url": "ftp://x"}}}}),
            &["/message/attachment", "/message/text", "/message/attachment/payload/url"],
        ),
        (
            "POST",
            call("broadcasts"),
            json!({"name": "\u{1b}[2J", "audience": {"languages": ["x"], "tags": 5}, "message": {"attachment": {"type": "exe"}}, "perMinute": 1_000_000, "startsAt": "soon"}),
            &[
                "/startsAt",
                "/message/attachment/type",
                "/name",
                "/perMinute",
                "/audience/tags",
                "/audience/languages/0",
            ],
        ),
        (
            "PATCH",
            call("settings"),
            json!({
                "debounceMs": -1, "fallbackText": long, "typing": 1,
                "taps": {"A": {"action": "send"}, "B": {"action": "dance"}},
            }),
            &["/debounceMs", "/typing", "/fallbackText", "/taps/A", "/taps/B/action"],
        ),
        (
            "POST",
            call("connect"),
            json!({
                "accessToken": "IGAA with spaces", "instagramAccountId": "x", "webhookVerificationToken": "long enough",
                "settings": {"takeoverHours": 0, "stopWords": ["!"]},
            }),
            &[
                "/instagramAccountId",
                "/settings/takeoverHours",
                "/accessToken",
                "/settings/stopWords/0",
                "/webhookVerificationToken",
            ],
        ),
        (
            "POST",
            call("connect-sessions"),
            json!({"returnUrl": "https://elsewhere.example", "loginKind": "x", "transfer": true, "pageChoice": 5}),
            &["/loginKind", "/pageChoice", "/returnUrl", "/transfer"],
        ),
        (
            "PUT",
            call("inbox-profile"),
            json!({
                "iceBreakers": [{"locale": "de", "questions": [{"question": "When?", "payload": "W"}]}],
                "persistentMenu": "none",
            }),
            &["/persistentMenu", "/iceBreakers"],
        ),
        (
            "POST",
            call("dead-letters/replay"),
            json!({"ids": [], "class": "odd", "limit": 5}),
            &["/ids", "/class"],
        ),
    ]
}

fn of_chat(chat: &str) -> Vec<Wrong> {
    let call = |path: &str| agent_path(&format!("chats/{chat}{path}"));
    vec![
        (
            "PATCH",
            call(""),
            json!({"assignee": "\u{7}", "snoozedUntil": "2020-01-01T00:00:00Z", "language": "d", "tags": [5, "a\u{7}"]}),
            &["/language", "/assignee", "/snoozedUntil", "/tags/0", "/tags/1"],
        ),
        ("POST", call("/notes"), json!({"text": " ", "pinned": true}), &["/pinned", "/text"]),
        (
            "POST",
            call("/takeover"),
            json!({"hours": 1, "untilReleased": true, "till": 5}),
            &["/till", "/hours"],
        ),
    ]
}

fn of_subaccount() -> Vec<Wrong> {
    let call = |path: &str| format!("/api/database/{SUBACCOUNT}/{path}");
    vec![
        (
            "POST",
            call("api-keys"),
            json!({"name": "\t", "role": "boss", "expiresAt": "2020-01-01T00:00:00Z"}),
            &["/role", "/expiresAt", "/name"],
        ),
        (
            "POST",
            call("sessions"),
            json!({"subject": "\t", "name": "Agent", "role": "owner", "ttl": 86_401}),
            &["/role", "/name", "/subject", "/ttl"],
        ),
        (
            "POST",
            call("templates"),
            json!({"name": "\u{7}", "message": {"attachment": {"type": "exe"}}, "version": 0}),
            &["/version", "/message/attachment/type", "/name"],
        ),
        (
            "POST",
            call("notification-targets"),
            json!({"url": "http://[", "email": "ada@example.com", "name": "\u{7}", "kinds": ["odd"]}),
            &["/email", "/kinds/0", "/name", "/url"],
        ),
        (
            "POST",
            call("pauses"),
            json!({"calls": [], "minutes": 0, "reason": "a\nb"}),
            &["/calls", "/minutes", "/reason"],
        ),
        (
            "PUT",
            call("meta-apps/facebook"),
            json!({"appId": "x", "appSecret": "with a space", "webhookVerificationToken": "short"}),
            &["/appId", "/webhookVerificationToken", "/appSecret"],
        ),
        ("PUT", call("provider-key"), json!({"key": "with a space", "of": "me"}), &["/of", "/key"]),
    ]
}

async fn every_fault_of_a_body_is_told_at_once(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.say(dmrelay_tests::rest::ACCOUNT, "200000000000001", "Hello");
    relay.replies("200000000000001", 1).await?;
    let chats = relay.rest.get("chats").await?;
    let chat = chats.json["items"][0]["chatId"].as_str().context("no chat")?;
    let mut odd = Vec::new();
    for (method, path, body, wanted) in of_agent().into_iter().chain(of_chat(chat)).chain(of_subaccount()) {
        let answer = relay.rest.request(method, &path, Some(body.to_string().into_bytes()), &[]).await?;
        let errors = answer.json["errors"].as_array().with_context(|| format!("{path}: {}", answer.text))?;
        let mut told: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
        let mut wanted = wanted.to_vec();
        told.sort_unstable();
        wanted.sort_unstable();
        if (answer.status, &told) != (422, &wanted) {
            odd.push(format!("{method} {path}: not {wanted:?} but {}", answer.text));
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    relay.end().await
}
