//! Saved messages with variables: made, changed, seen with values, and sent.

use anyhow::{Context, Result};
use dmrelay_domain::permission::Role;
use dmrelay_tests::console::Person;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, KEY, agent_path};
use serde_json::{Value, json};

on_both_backends!(
    a_message_is_saved_changed_and_removed,
    a_saved_message_is_sent_with_its_values,
    a_repeated_call_sends_once_whatever_becomes_of_the_template,
    people_send_them_by_a_click,
);

const USER: &str = "200000000000001";
const TEMPLATES: &str = "/api/database/acme/templates";

async fn call(relay: &Relay, method: &str, path: &str, body: Option<Value>) -> Result<Answer> {
    let path = format!("{TEMPLATES}{path}");
    relay.rest.request(method, &path, body.map(|body| body.to_string().into_bytes()), &[]).await
}

async fn saved(relay: &Relay, name: &str, message: Value) -> Result<String> {
    let made = call(relay, "POST", "", Some(json!({"name": name, "message": message}))).await?;
    anyhow::ensure!(made.status == 201, "{} {}", made.status, made.text);
    Ok(made.json["templateId"].as_str().context("no id")?.to_owned())
}

fn pointers(answer: &Answer) -> Vec<&str> {
    let errors = answer.json["errors"].as_array().into_iter().flatten();
    errors.filter_map(|fault| fault["pointer"].as_str()).collect()
}

async fn a_message_is_saved_changed_and_removed(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.limits.templates_per_subaccount = 2).await?;
    let id = saved(&relay, "Sent", json!("Your order {{order}} left, {{name}}.")).await?;
    let one = call(&relay, "GET", &format!("/{id}"), None).await?;
    assert_eq!(
        (&one.json["version"], &one.json["variables"]),
        (&json!(1), &json!(["name", "order"])),
        "{}",
        one.text
    );
    assert_eq!(one.json["message"], json!({"text": "Your order {{order}} left, {{name}}."}));
    // Its name is its own; a change needs the version that was read.
    let twice = call(&relay, "POST", "", Some(json!({"name": "Sent", "message": "x"}))).await?;
    assert!(twice.status == 409 && twice.text.contains("template-name-taken"), "{}", twice.text);
    let change = |version: i32| json!({"name": "Sent", "message": "Gone: {{order}}", "version": version});
    assert_eq!(call(&relay, "PUT", &format!("/{id}"), Some(change(1))).await?.json["version"], 2);
    let late = call(&relay, "PUT", &format!("/{id}"), Some(change(1))).await?;
    assert!(late.status == 409 && late.text.contains("template-changed"), "{}", late.text);
    let versions = call(&relay, "GET", &format!("/{id}/versions"), None).await?;
    let said: Vec<&Value> =
        versions.json["items"].as_array().into_iter().flatten().map(|one| &one["message"]["text"]).collect();
    assert_eq!(said, [&json!("Gone: {{order}}"), &json!("Your order {{order}} left, {{name}}.")]);
    // Every fault of a message is told, and no more than so many are kept.
    let odd = json!({"name": " ", "message": "x"});
    assert_eq!(pointers(&call(&relay, "POST", "", Some(odd)).await?), ["/name"]);
    let odd = json!({"name": "odd", "message": {"text": "{{Order}} {{}}"}});
    assert_eq!(pointers(&call(&relay, "POST", "", Some(odd)).await?), ["/message/text", "/message/text"]);
    saved(&relay, "Second", json!("x")).await?;
    let third = call(&relay, "POST", "", Some(json!({"name": "Third", "message": "x"}))).await?;
    assert!(third.status == 409 && third.text.contains("too-many-templates"), "{}", third.text);
    // Others neither see it nor change it.
    let elsewhere =
        relay.rest.request("GET", &format!("/api/database/other/templates/{id}"), None, &[]).await?;
    assert_eq!(elsewhere.status, 404);
    let body = json!({"name": "viewer", "role": Role::Viewer.as_str()}).to_string().into_bytes();
    let key = relay.rest.request("POST", "/api/database/acme/api-keys", Some(body), &[]).await?;
    let viewer = relay.rest.with_key(key.json["key"].as_str());
    assert_eq!(viewer.request("GET", TEMPLATES, None, &[]).await?.status, 200);
    assert_eq!(viewer.request("DELETE", &format!("{TEMPLATES}/{id}"), None, &[]).await?.status, 403);
    assert_eq!(call(&relay, "DELETE", &format!("/{id}"), None).await?.status, 204);
    assert_eq!(call(&relay, "GET", &format!("/{id}"), None).await?.status, 404);
    let log = relay.rest.request(
        "GET",
        "/api/database/acme/activities?kind=TEMPLATE_SAVED,TEMPLATE_DELETED",
        None,
        &[],
    );
    assert_eq!(log.await?.json["items"].as_array().map(Vec::len), Some(4));
    relay.end().await
}

async fn greeted(backend: Backend) -> Result<Relay> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let ada = dmrelay_simulator::Person {
        name: Some("Ada".to_owned()),
        username: "ada".to_owned(),
        profile_pic: None,
        unavailable: false,
        profile_hidden: false,
        standby: false,
    };
    relay.simulator.set_person(ACCOUNT, USER, ada);
    relay.simulator.say(ACCOUNT, USER, "hello");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    Ok(relay)
}

async fn a_saved_message_is_sent_with_its_values(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let message = json!({"attachment": {"type": "template", "payload": {
        "template_type": "button", "text": "{{name}}, your order {{order}} left.",
        "buttons": [{"type": "web_url", "title": "Track", "url": "https://shop.example/{{order}}"}],
    }}});
    let id = saved(&relay, "Sent", message).await?;
    let seen =
        call(&relay, "POST", &format!("/{id}/preview"), Some(json!({"variables": {"order": "4/7"}}))).await?;
    assert_eq!((seen.status, pointers(&seen)), (422, vec!["/variables/name"]), "{}", seen.text);
    // The customer has a name; the order is to be given.
    let send = async |more: Value| {
        let mut body = json!({"instagramUserId": USER, "templateId": id});
        body.as_object_mut().context("no body")?.extend(more.as_object().cloned().unwrap_or_default());
        relay.rest.post("send", body).await
    };
    let missing = send(json!({})).await?;
    assert_eq!((missing.status, pointers(&missing)), (422, vec!["/variables/order"]), "{}", missing.text);
    let both = send(json!({"message": "x"})).await?;
    assert_eq!((both.status, pointers(&both)), (422, vec!["/templateId"]));
    let long = send(json!({"variables": {"order": "4".repeat(700)}})).await?;
    assert_eq!(pointers(&long), ["/variables/attachment/payload/text"], "{}", long.text);
    let sent = send(json!({"variables": {"order": "4/7"}})).await?;
    assert_eq!(sent.status, 202, "{}", sent.text);
    relay.replies(USER, 2).await?;
    let last = relay.simulator.record(|record| record.sends.last().map(|sent| sent.message.clone()));
    let payload = &last.context("nothing was sent")?["attachment"]["payload"];
    assert_eq!(payload["text"], "Ada, your order 4/7 left.");
    assert_eq!(payload["buttons"][0]["url"], "https://shop.example/4%2F7");
    let known = relay.messages(USER).await?;
    let metadata = &known.last().context("no message")?["metadata"];
    assert_eq!(metadata["template"], json!({"templateId": id, "version": 1}));
    let unknown = relay
        .rest
        .post("send", json!({"instagramUserId": USER, "templateId": "00000000-0000-7000-8000-000000000000"}))
        .await?;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    relay.end().await
}

async fn a_repeated_call_sends_once_whatever_becomes_of_the_template(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let id = saved(&relay, "Hello", json!("Hello {{name}}")).await?;
    let send = async || {
        let body = json!({"instagramUserId": USER, "templateId": id}).to_string().into_bytes();
        relay.rest.request("POST", &agent_path("send"), Some(body), &[("idempotency-key", "k-1")]).await
    };
    let first = send().await?;
    assert_eq!(first.status, 202, "{}", first.text);
    relay.replies(USER, 2).await?;
    call(&relay, "PUT", &format!("/{id}"), Some(json!({"name": "Hello", "message": "Bye {{name}}"}))).await?;
    assert_eq!(send().await?.json["messageId"], first.json["messageId"]);
    call(&relay, "DELETE", &format!("/{id}"), None).await?;
    let again = send().await?;
    assert_eq!((again.status, &again.json["messageId"]), (202, &first.json["messageId"]), "{}", again.text);
    relay.settled().await?;
    assert_eq!(relay.sent(USER), ["Answer to: hello", "Hello Ada"]);
    relay.end().await
}

async fn people_send_them_by_a_click(backend: Backend) -> Result<()> {
    let relay = greeted(backend).await?;
    let id = saved(
        &relay,
        "Greeting",
        json!({"text": "Hello {{name}}!", "quick_replies": [
            {"content_type": "text", "title": "Hours", "payload": "HOURS"},
        ]}),
    )
    .await?;
    let mut person = Person::at(&relay)?;
    person.sign_in(KEY).await?;
    let chat = relay.messages(USER).await?[0]["chatId"].as_str().context("no chat")?.to_owned();
    let (_, page, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(page.contains("Saved messages") && page.contains("Greeting") && page.contains(&id), "{page}");
    let csrf = person.csrf().await?;
    let form = [("csrf", csrf.as_str()), ("template", id.as_str())];
    let (status, _, _) = person.post(&format!("/console/chats/{chat}/send"), &form).await?;
    assert_eq!(status, 303);
    assert_eq!(relay.replies(USER, 2).await?[1], "Hello Ada!");
    // The bubble shows what can be tapped.
    let (_, page, _) = person.get(&format!("/console/inbox?chat={chat}")).await?;
    assert!(page.contains("aria-label=\"Quick replies\""), "{page}");
    relay.end().await
}
