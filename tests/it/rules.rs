//! What answers besides texts: directives of the agent, and rules for taps and stories.

use anyhow::{Context, Result};
use dmrelay_simulator::{Act, Action, AgentRule, ReplyRule};
use dmrelay_tests::console::Person;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, Answer, KEY, agent_path};
use dmrelay_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    an_agent_sends_quick_replies_and_a_saved_message,
    an_agent_hands_over_to_a_human_who_is_told,
    taps_and_stories_follow_their_rules,
    rules_that_cannot_work_are_refused,
);

const USER: &str = "200000000000001";

fn agent_says(relay: &Relay, messages: &[Value]) {
    let reply = ReplyRule::Raw { messages: messages.to_vec() };
    relay.simulator.put_agent(AGENT, AgentRule { reply, ..AgentRule::default() });
}

async fn template(relay: &Relay, name: &str, message: &Value) -> Result<String> {
    let body = json!({"name": name, "message": message}).to_string().into_bytes();
    let made = relay.rest.request("POST", "/api/database/acme/templates", Some(body), &[]).await?;
    Ok(made.json["templateId"].as_str().context("no id")?.to_owned())
}

async fn chat(relay: &Relay) -> Result<Value> {
    let chats = relay.rest.get(&format!("chats?instagramUserId={USER}")).await?;
    Ok(chats.json["items"][0].clone())
}

/// The `message` objects that Graph accepted for the user.
fn accepted(relay: &Relay) -> Vec<Value> {
    relay.simulator.record(|record| record.sends_to(ACCOUNT, USER).map(|send| send.message.clone()).collect())
}

async fn an_agent_sends_quick_replies_and_a_saved_message(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    template(&relay, "sizes", &json!("We have {{sizes}}.")).await?;
    let arguments = json!({"template": "sizes", "variables": {"sizes": "S and M"}}).to_string();
    agent_says(
        &relay,
        &[
            json!({"role": "tool_call_invocation", "tool_call_id": "t", "name": "dmrelay", "arguments": arguments}),
            json!({"role": "tool_call_result", "tool_call_id": "t", "content": "ok"}),
            json!({"role": "agent", "content": "Which one?\n```dmrelay\n{\"quickReplies\": [\"S\", \"M\"]}\n```"}),
        ],
    );
    relay.simulator.say(ACCOUNT, USER, "which sizes?");
    relay.replies(USER, 2).await?;
    let choice = |title: &str| json!({"content_type": "text", "title": title, "payload": title});
    let wanted = [
        json!({"text": "We have S and M."}),
        json!({"text": "Which one?", "quick_replies": [choice("S"), choice("M")]}),
    ];
    assert_eq!(accepted(&relay), wanted);
    relay.settled().await?;
    relay.end().await
}

async fn an_agent_hands_over_to_a_human_who_is_told(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.incidents.incident_interval = Duration::from_millis(200);
        settings.worker.incidents.incident_after = Duration::ZERO;
        settings.worker.incidents.incident_clear_after = Duration::ZERO;
    })
    .await?;
    agent_says(
        &relay,
        &[
            json!({"role": "agent", "content": "A colleague will help.\n```dmrelay\n{\"handover\": \"a refund\"}\n```"}),
        ],
    );
    relay.simulator.say(ACCOUNT, USER, "I want my money back");
    assert_eq!(relay.replies(USER, 1).await?, ["A colleague will help."]);
    let waits = chat(&relay).await?;
    assert_eq!(
        (&waits["mode"], &waits["modeReason"], &waits["needsHuman"]),
        (&json!("human"), &json!("handover"), &json!({"needed": true, "reason": "handover"}))
    );
    let incident = async |state: &str| {
        wait::until("the incident", Duration::from_secs(20), async || {
            let all = relay
                .rest
                .request("GET", &format!("/api/database/acme/incidents?state={state}"), None, &[])
                .await?;
            let items = all.json["items"].as_array().cloned().unwrap_or_default();
            Ok(items.into_iter().find(|one| one["kind"] == "handed_over"))
        })
        .await
    };
    assert!(
        incident("open").await?["message"].as_str().is_some_and(|detail| detail.contains("1 conversation"))
    );
    let log = relay.rest.get("activities?kind=INSTAGRAM_BOT_PAUSED").await?;
    assert_eq!(log.json["items"][0]["details"]["why"], "a refund", "{}", log.text);
    // The customer goes on; the agent is silent, and a person answers.
    relay.simulator.say(ACCOUNT, USER, "hello?");
    relay.settled().await?;
    assert_eq!(relay.asked().len(), 1);
    let sent = relay.rest.post("send", json!({"instagramUserId": USER, "message": "Ada here."})).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    relay.replies(USER, 2).await?;
    assert_eq!(chat(&relay).await?["needsHuman"]["needed"], false);
    incident("resolved").await?;
    relay.settled().await?;
    relay.end().await
}

async fn taps_and_stories_follow_their_rules(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let hours = template(&relay, "hours", &json!("Hi {{name}}, we open at nine.")).await?;
    relay
        .change_settings(json!({
            "taps": {
                "HOURS": {"action": "send", "templateId": hours, "variables": {"name": "there"}},
                "HUMAN*": {"action": "hand_over"},
            },
            "storyMention": {"action": "send", "text": "Thank you for the mention!"},
            "storyReply": {"action": "ignore"},
        }))
        .await?;
    let act = |action: Action| relay.simulator.act(Act::new(ACCOUNT, USER, action));
    act(Action::QuickReply { title: Some("Hours".to_owned()), payload: "HOURS".to_owned() });
    // The simulator's user has a name, which the pipeline may not know yet.
    let first = relay.replies(USER, 1).await?.remove(0);
    assert!(first.starts_with("Hi ") && first.ends_with(", we open at nine."), "{first}");
    act(Action::StoryMention { url: "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1".to_owned() });
    assert_eq!(relay.replies(USER, 2).await?[1], "Thank you for the mention!");
    act(Action::StoryReply {
        text: "wow".to_owned(),
        story_id: "1".to_owned(),
        url: "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=2".to_owned(),
    });
    relay.settled().await?;
    assert!(relay.asked().is_empty(), "{:?}", relay.asked());
    let messages = relay.messages(USER).await?;
    let authors: Vec<&str> = messages.iter().filter_map(|message| message["author"].as_str()).collect();
    assert_eq!(authors, ["user", "rule", "user", "rule", "user"]);
    assert_eq!(messages[0]["reason"], "rule", "{}", messages[0]);
    // In the console it is said by the business, and the tap counts as answered.
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let id = messages[0]["chatId"].as_str().context("no chat")?;
    let (_, page, _) = person.get(&format!("/console/inbox?chat={id}")).await?;
    assert!(page.contains("Thank you for the mention!") && page.contains(">Rule<"), "{page}");
    assert!(!page.contains("Not answered"), "{page}");
    // What the rules dealt with, the agent learns with the next question.
    relay.simulator.say(ACCOUNT, USER, "and on Sundays?");
    relay.replies(USER, 3).await?;
    let asked = relay.asked().join("\n");
    assert!(
        asked.contains("automatic reply: Thank you for the mention!") && asked.contains("wow"),
        "{asked}"
    );
    act(Action::Postback {
        title: "A person".to_owned(),
        payload: "HUMAN_SALES".to_owned(),
        referral: None,
        without_mid: false,
    });
    wait::until("the handover", Duration::from_secs(20), async || {
        Ok((chat(&relay).await?["needsHuman"]["reason"] == "handover").then_some(()))
    })
    .await?;
    relay.settled().await?;
    relay.end().await
}

async fn rules_that_cannot_work_are_refused(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let patch = async |body: Value| {
        relay.rest.request("PATCH", &agent_path("settings"), Some(body.to_string().into_bytes()), &[]).await
    };
    let pointers = |answer: &Answer| {
        let errors = answer.json["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|one| Some(one["pointer"].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    let none = "00000000-0000-4000-8000-000000000000";
    // What the document says, and what follows from several fields.
    for (body, wanted) in [
        (
            json!({"taps": {"A": {"action": "dance"}, "F": {"action": "send", "text": ""}}}),
            vec!["/taps/A/action", "/taps/F/text"],
        ),
        (
            json!({
                "taps": {
                    "B": {"action": "send"},
                    "C": {"action": "send", "text": "x", "templateId": none},
                    "D/E": {"action": "ignore", "text": "x"},
                    " ": {"action": "ignore"},
                },
                "storyReply": {"action": "send", "templateId": none},
                "stopWords": ["!"],
            }),
            vec![
                "/stopWords/0",
                "/storyReply/templateId",
                "/taps/ ",
                "/taps/B",
                "/taps/C/templateId",
                "/taps/C/templateId",
                "/taps/D~1E",
            ],
        ),
    ] {
        let refused = patch(body).await?;
        let mut faults = pointers(&refused);
        faults.sort();
        assert_eq!(
            (refused.status, faults),
            (422, wanted.into_iter().map(str::to_owned).collect()),
            "{}",
            refused.text
        );
    }
    let set = patch(json!({"storyReply": {"action": "hand_over"}, "stopWords": []})).await?;
    assert_eq!(
        (
            &set.json["settings"]["storyReply"],
            &set.json["effective"]["storyMention"],
            &set.json["effective"]["stopWords"]
        ),
        (&json!({"action": "hand_over"}), &json!({"action": "ask_agent"}), &json!([])),
        "{}",
        set.text
    );
    let reset = patch(json!({"storyReply": null, "taps": null})).await?;
    assert_eq!(reset.json["settings"]["storyReply"], Value::Null, "{}", reset.text);
    relay.end().await
}
