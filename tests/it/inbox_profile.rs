//! Ice breakers and the persistent menu: set, read back, and compared with what Meta has.

use anyhow::Result;
use dmrelay_simulator::{AccountSpec, Fault, FaultMode, Operation};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, Answer, agent_path};
use serde_json::{Value, json};

on_both_backends!(what_is_set_is_at_meta, what_meta_would_refuse_is_refused_before);

const PAGED: &str = "17841400000000003";
const PAGE: &str = "104508901353867";

async fn call(relay: &Relay, method: &str, body: Option<&Value>) -> Result<Answer> {
    let body = body.map(|body| body.to_string().into_bytes());
    relay.rest.request(method, &agent_path("inbox-profile"), body, &[]).await
}

fn profile() -> Value {
    json!({
        "iceBreakers": [
            {"locale": "default", "questions": [{"question": "Where is my order?", "payload": "ORDER"}]},
            {"locale": "de_DE", "questions": [{"question": "Wo ist meine Bestellung?", "payload": "ORDER"}]},
        ],
        "persistentMenu": [{"locale": "default", "items": [
            {"title": "Opening hours", "payload": "HOURS", "url": null},
            {"title": "Shop", "payload": null, "url": "https://shop.example/"},
        ]}],
    })
}

async fn what_is_set_is_at_meta(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let none = call(&relay, "GET", None).await?;
    let empty = json!({"iceBreakers": [], "persistentMenu": []});
    assert_eq!(none.json, json!({"wanted": null, "atMeta": empty, "drift": []}), "{}", none.text);
    let set = call(&relay, "PUT", Some(&profile())).await?;
    assert_eq!((set.status, &set.json["atMeta"]), (200, &profile()), "{}", set.text);
    assert_eq!((&set.json["wanted"], &set.json["drift"]), (&profile(), &json!([])));
    // Somebody changes the menu elsewhere.
    let menu = json!([{"locale": "default", "call_to_actions": [{"type": "postback", "title": "x", "payload": "X"}]}]);
    let ours = json!([{"locale": "default", "call_to_actions": [{"question": "Where is my order?", "payload": "ORDER"}]}]);
    let theirs = json!({"ice_breakers": ours, "persistent_menu": menu});
    relay.simulator.set_profile(ACCOUNT, theirs.as_object().cloned().unwrap_or_default());
    let drifted = call(&relay, "GET", None).await?.json;
    assert_eq!(drifted["drift"], json!(["iceBreakers", "persistentMenu"]));
    // Set anew without a menu: it is removed.
    let mut less = profile();
    less["persistentMenu"] = json!([]);
    let set = call(&relay, "PUT", Some(&less)).await?.json;
    assert_eq!((&set["atMeta"], &set["drift"]), (&less, &json!([])));
    assert_eq!(call(&relay, "DELETE", None).await?.status, 204);
    assert_eq!(call(&relay, "GET", None).await?.json, json!({"wanted": null, "atMeta": empty, "drift": []}));
    let told = relay.rest.get("activities?kind=INSTAGRAM_INBOX_PROFILE_SET").await?.json;
    assert_eq!((&told["total"], &told["items"][0]["details"]["isRemoved"]), (&json!(3), &json!(true)));
    // What Meta refuses is told, and not remembered as set.
    relay.simulator.add_fault(Fault::graph(Operation::SetProfile, FaultMode::GraphError).code(100, Some(33)));
    assert_eq!(call(&relay, "PUT", Some(&profile())).await?.status, 422);
    relay.simulator.clear_faults(None);
    assert_eq!(call(&relay, "GET", None).await?.json["wanted"], Value::Null);
    // A Page's, too.
    relay.rest.post("disconnect", json!({})).await?;
    assert_eq!(call(&relay, "GET", None).await?.status, 409);
    relay.simulator.put_account(AccountSpec::new(PAGED, "acme_page", "EAAacme").facebook_login(PAGE));
    let body = json!({
        "accessToken": "EAAacme", "instagramAccountId": PAGED, "pageId": PAGE, "webhookVerificationToken": "12345678",
    });
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    assert_eq!(call(&relay, "PUT", Some(&profile())).await?.json["atMeta"], profile());
    relay.end().await
}

async fn what_meta_would_refuse_is_refused_before(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let question = json!({"question": "q?", "payload": "Q"});
    let of = |questions: Value| json!([{"locale": "default", "questions": questions}]);
    let items = |item: Value| json!({"persistentMenu": [{"locale": "default", "items": [item]}]});
    for (body, pointer) in [
        (json!({"iceBreakers": of(json!([]))}), "/iceBreakers/0/questions"),
        (json!({"iceBreakers": of(json!(vec![&question; 5]))}), "/iceBreakers/0/questions"),
        (
            json!({"iceBreakers": of(json!([{"question": " ", "payload": "Q"}]))}),
            "/iceBreakers/0/questions/0/question",
        ),
        (
            json!({"iceBreakers": of(json!([{"question": "q", "payload": "x".repeat(1_001)}]))}),
            "/iceBreakers/0/questions/0/payload",
        ),
        (json!({"iceBreakers": [{"locale": "de_DE", "questions": [question]}]}), "/iceBreakers"),
        (
            json!({"iceBreakers": [{"locale": "default", "questions": [question]}, {"locale": "e n", "questions": [question]}]}),
            "/iceBreakers/1/locale",
        ),
        (items(json!({"title": "x".repeat(31), "payload": "X"})), "/persistentMenu/0/items/0/title"),
        (items(json!({"title": "x", "url": "http://a.example"})), "/persistentMenu/0/items/0/url"),
        (
            items(json!({"title": "x", "url": "https://a.example", "payload": "X"})),
            "/persistentMenu/0/items/0",
        ),
        (items(json!({"title": "x"})), "/persistentMenu/0/items/0"),
    ] {
        let refused = call(&relay, "PUT", Some(&body)).await?;
        assert_eq!(
            (refused.status, &refused.json["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{}",
            refused.text
        );
    }
    assert_eq!(relay.simulator.record(|record| record.calls.get("graph.set_profile").copied()), None);
    relay.end().await
}
