//! Connecting, disconnecting, and the frontend's view of it.

use anyhow::{Context, Result};
use dmrelay_simulator::{AccountSpec, Fault, FaultMode, Operation, Service, TokenState, WebhookTarget};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, TOKEN, connect_body, text_webhook};
use sea_orm::ConnectionTrait;
use serde_json::json;
use std::time::Duration;

on_both_backends!(
    connecting_answers_with_links_and_subscribes,
    a_failed_connect_leaves_nothing_behind,
    connecting_again_renews_the_connection,
    an_account_of_another_subaccount_is_not_taken_by_accident,
    events_that_came_before_are_ingested_by_a_late_connect,
    disconnecting_unsubscribes_the_webhooks_and_deletes_the_token,
    several_accounts_of_one_agent_are_separate,
    a_page_connects_with_facebook_login,
    calls_of_a_page_carry_the_proof_of_its_app,
    secrets_are_encrypted_in_the_database,
);

const USER: &str = "200000000000001";

async fn connecting_answers_with_links_and_subscribes(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let mut body = connect_body();
    body["ref"] = json!("summer_1");
    let answer = relay.rest.post("connect", body).await?;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let json = answer.json;
    assert_eq!((&json["status"], &json["username"]), (&json!("connected"), &json!("acme")));
    assert_eq!(json["links"]["directMessage"], "https://ig.me/m/acme?ref=summer_1");
    assert_eq!(json["links"]["profile"], "https://www.instagram.com/acme/");
    let svg = relay.rest.get("qr-code?ref=summer_1").await?;
    assert_eq!((svg.status, svg.content_type.as_str()), (200, "image/svg+xml"));
    assert!(svg.text.contains("<svg"), "{}", svg.text);
    let png = relay.rest.get("qr-code?link=profile&format=png").await?;
    assert_eq!((png.status, png.content_type.as_str()), (200, "image/png"));
    assert!(png.text.contains("PNG"), "{}", png.text);
    let odd = relay.rest.get("qr-code?link=story&ref=a%20b").await?;
    assert_eq!((odd.status, &odd.json["errors"][0]["parameter"]), (422, &json!("link")));
    let small = relay.rest.get(&format!("qr-code?format=png&size=64&ref={}", "a".repeat(900))).await?;
    assert_eq!(
        (small.status, &small.json["errors"][0]["parameter"]),
        (422, &json!("size")),
        "{}",
        small.text
    );
    // The same pictures for pages that have no key: of every origin.
    let browser = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
    let get = async |address: String| browser.get(address).send().await;
    for (which, ending) in [("directMessage", "&ref=summer_1"), ("profile", "")] {
        let address = json["links"]["qrCodes"][which].as_str().context("no address")?;
        assert!(address.ends_with(ending), "{address}");
        for (more, kind) in [("", "image/svg+xml"), ("&format=png&size=512", "image/png")] {
            let shown = get(format!("{address}{more}")).await?;
            assert_eq!((shown.status().as_u16(), shown.headers()["content-type"].to_str()?), (200, kind));
            assert_eq!(shown.headers()["cross-origin-resource-policy"], "cross-origin");
            let bytes = shown.bytes().await?;
            assert!(!bytes.is_empty());
            if which == "directMessage" && more.is_empty() {
                assert_eq!(bytes, svg.text.as_bytes());
            }
        }
        assert_eq!(get(format!("{address}&size=5")).await?.status(), 422);
    }
    let unknown = "00000000-0000-7000-8000-000000000000";
    let address = json["links"]["qrCodes"]["profile"].as_str().unwrap_or_default();
    let address = address.replace(json["connectionId"].as_str().unwrap_or_default(), unknown);
    assert_eq!(get(address).await?.status(), 404);
    assert!(json["webhook"]["callbackUrl"].as_str().is_some_and(|url| url.ends_with("/instagram/webhook")));
    assert!(!answer.text.contains(TOKEN) && !answer.text.contains("own-verify-token"));
    let fields = relay.simulator.subscribed_fields(ACCOUNT).unwrap_or_default();
    assert!(
        fields.contains(&"messages".to_owned()) && fields.contains(&"messaging_postbacks".to_owned()),
        "{fields:?}"
    );
    let status = relay.rest.get("status").await?.json;
    assert_eq!((&status["status"], &status["queue"]["turnsDue"]), (&json!("connected"), &json!(0)));
    let list = relay.rest.get("connections").await?.json;
    assert_eq!((&list["total"], &list["items"][0]["connectionId"]), (&json!(1), &json["connectionId"]));
    relay.end().await
}

async fn a_failed_connect_leaves_nothing_behind(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let mut wrong_token = connect_body();
    wrong_token["accessToken"] = json!("IGAAwrong");
    let mut wrong_account = connect_body();
    wrong_account["instagramAccountId"] = json!("17841400000000099");
    for (body, status, kind) in [
        (wrong_token, 422, "token-rejected"),
        (wrong_account, 422, "wrong-account"),
        (json!({}), 422, "invalid-request"),
        (
            json!({"accessToken": "a b", "instagramAccountId": "1", "webhookVerificationToken": "12345678"}),
            422,
            "invalid-request",
        ),
        (
            json!({"accessToken": "a", "instagramAccountId": "../1", "webhookVerificationToken": "12345678"}),
            422,
            "invalid-request",
        ),
    ] {
        let answer = relay.rest.post("connect", body).await?;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (status, &json!(format!("urn:dmrelay:problem:{kind}"))),
            "{}",
            answer.text
        );
        assert_eq!(answer.content_type, "application/problem+json");
        if kind == "wrong-account" {
            let detail = answer.json["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(ACCOUNT) && detail.contains("17841400000000099"), "{detail}");
        }
    }
    for (fault, status, kind) in [
        (Fault::graph(Operation::Subscribe, FaultMode::GraphError).code(10, None), 422, "missing-permission"),
        (Fault::graph(Operation::Subscribe, FaultMode::GraphError).code(100, Some(33)), 422, "graph-refused"),
        (Fault::graph(Operation::Subscriptions, FaultMode::DropBefore), 503, "graph-unavailable"),
        (Fault::new(Service::Graph, FaultMode::Html).status(502), 503, "graph-unavailable"),
        (Fault::new(Service::Graph, FaultMode::Html).status(200), 422, "graph-misconfigured"),
        (Fault::new(Service::Graph, FaultMode::Html).status(404), 422, "graph-misconfigured"),
        (Fault::graph(Operation::Me, FaultMode::OnlyId), 422, "no-instagram-account"),
    ] {
        relay.simulator.add_fault(fault);
        let answer = relay.rest.connect().await?;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (status, &json!(format!("urn:dmrelay:problem:{kind}"))),
            "{}",
            answer.text
        );
        relay.simulator.clear_faults(None);
    }
    assert_eq!(relay.rest.get("connections").await?.json["total"], 0);
    assert_eq!(relay.rest.get("status").await?.status, 404);
    assert_eq!(relay.rest.connect().await?.status, 201);
    relay.end().await
}

async fn connecting_again_renews_the_connection(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let first = relay.rest.get("status").await?.json;
    assert_eq!(relay.rest.connect().await?.status, 201);
    let second = relay.rest.get("status").await?.json;
    assert_eq!(first["connectionId"], second["connectionId"]);
    // A rejected renewal leaves the connection as it was.
    relay.simulator.add_fault(Fault::graph(Operation::Subscribe, FaultMode::DropBefore));
    assert_eq!(relay.rest.connect().await?.status, 503);
    assert_eq!(relay.rest.get("status").await?.json["status"], "connected");
    relay.end().await
}

async fn an_account_of_another_subaccount_is_not_taken_by_accident(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let path = "/api/database/other/chat-agents/agent_other/instagram";
    let connect = |body: serde_json::Value| {
        let body = Some(body.to_string().into_bytes());
        relay.rest.request("POST", "/api/database/other/chat-agents/agent_other/instagram/connect", body, &[])
    };
    let refused = connect(connect_body()).await?;
    assert_eq!((refused.status, &refused.json["type"]), (409, &json!("urn:dmrelay:problem:account-in-use")));
    assert!(!refused.text.contains("acme"), "{}", refused.text);
    let mut body = connect_body();
    body["transfer"] = json!(true);
    assert_eq!(connect(body).await?.status, 201);
    let theirs = relay.rest.request("GET", &format!("{path}/status"), None, &[]).await?;
    assert_eq!(theirs.json["status"], "connected");
    assert_eq!(relay.rest.get("status").await?.json["status"], "disconnected");
    relay.end().await
}

async fn events_that_came_before_are_ingested_by_a_late_connect(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    for n in 0..3 {
        let body = text_webhook(ACCOUNT, USER, &format!("early-{n}"), &format!("early {n}"));
        assert_eq!(relay.rest.webhook("/webhooks/instagram", &body, APP_SECRET).await?.status, 200);
    }
    relay.settled().await?;
    assert!(relay.asked().is_empty());
    // The simulated Graph must know that this user has written.
    relay
        .simulator
        .act(dmrelay_simulator::Act::new(ACCOUNT, USER, dmrelay_simulator::Action::text("x")).withheld());
    assert_eq!(relay.rest.connect().await?.status, 201);
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    assert_eq!(relay.asked().join("\n"), "early 0\nearly 1\nearly 2");
    relay.end().await
}

async fn disconnecting_unsubscribes_the_webhooks_and_deletes_the_token(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let answer = relay.rest.post("disconnect", json!({})).await?;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("disconnected")));
    assert!(relay.simulator.subscribed_fields(ACCOUNT).unwrap_or_default().is_empty());
    let sql =
        "SELECT 1 FROM instagram_connections WHERE access_token IS NOT NULL OR verify_token IS NOT NULL";
    let statement = sea_orm::Statement::from_string(relay.store.connection().get_database_backend(), sql);
    assert!(relay.store.connection().query_one_raw(statement).await?.is_none());
    assert_eq!(relay.rest.post("disconnect", json!({})).await?.status, 404);
    // A failed reconnect leaves it as it was, and can be repeated.
    relay.simulator.add_fault(Fault::graph(Operation::Subscribe, FaultMode::DropBefore));
    assert_eq!(relay.rest.connect().await?.status, 503);
    assert_eq!(relay.rest.get("status").await?.json["status"], "disconnected");
    // Meta is unreachable: nothing is sent any more, and the rest is done later.
    assert_eq!(relay.rest.connect().await?.status, 201);
    relay.simulator.add_fault(Fault::graph(Operation::Unsubscribe, FaultMode::DropBefore));
    let answer = relay.rest.post("disconnect", json!({})).await?;
    assert_eq!((answer.status, &answer.json["status"]), (202, &json!("disconnecting")));
    dmrelay_tests::wait::until("the webhooks are ended", std::time::Duration::from_secs(20), async || {
        Ok((relay.rest.get("status").await?.json["status"] == "disconnected").then_some(()))
    })
    .await?;
    // An invalid token can no longer unsubscribe anything.
    assert_eq!(relay.rest.connect().await?.status, 201);
    relay.simulator.set_tokens(ACCOUNT, TokenState::Revoked);
    assert_eq!(relay.rest.post("disconnect", json!({})).await?.status, 200);
    relay.end().await
}

async fn several_accounts_of_one_agent_are_separate(backend: Backend) -> Result<()> {
    const SECOND: &str = "17841400000000002";
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.put_account(AccountSpec::new(SECOND, "acme_two", "IGAAsecond"));
    let mut body = connect_body();
    body["instagramAccountId"] = json!(SECOND);
    body["accessToken"] = json!("IGAAsecond");
    let second = relay.rest.post("connect", body).await?.json;
    let ambiguous = relay.rest.get("status").await?;
    assert_eq!((ambiguous.status, ambiguous.json["connections"].as_array().map(Vec::len)), (409, Some(2)));
    let id = second["connectionId"].as_str().unwrap_or_default().to_owned();
    assert_eq!(relay.rest.get(&format!("status?connectionId={id}")).await?.json["username"], "acme_two");
    relay.simulator.say(ACCOUNT, USER, "to one");
    relay.simulator.say(SECOND, USER, "to two");
    relay.replies(USER, 1).await?;
    relay.settled().await?;
    let to = |account: &str| {
        relay.simulator.record(|record| {
            record.sends_to(account, USER).filter_map(|sent| sent.text.clone()).collect::<Vec<_>>()
        })
    };
    assert_eq!(
        (to(ACCOUNT), to(SECOND)),
        (vec!["Answer to: to one".to_owned()], vec!["Answer to: to two".to_owned()])
    );
    relay.end().await
}

async fn a_page_connects_with_facebook_login(backend: Backend) -> Result<()> {
    const PAGED: &str = "17841400000000003";
    const PAGE: &str = "104508901353867";
    let relay = Relay::start(backend, |_| {}).await?;
    relay.simulator.put_account(AccountSpec::new(PAGED, "acme_page", "EAAtoken").facebook_login(PAGE));
    let mut body = connect_body();
    body["instagramAccountId"] = json!(PAGED);
    body["accessToken"] = json!("EAAtoken");
    body["pageId"] = json!(PAGE);
    let answer = relay.rest.post("connect", body).await?;
    assert_eq!((answer.status, &answer.json["loginKind"]), (201, &json!("facebook")), "{}", answer.text);
    relay.simulator.say(PAGED, USER, "hello");
    relay
        .simulator
        .wait_for("the reply", std::time::Duration::from_secs(20), |record| {
            record.sends_to(PAGED, USER).count() == 1
        })
        .await?;
    relay.end().await
}

async fn calls_of_a_page_carry_the_proof_of_its_app(backend: Backend) -> Result<()> {
    const PAGED: &str = "17841400000000003";
    const PAGE: &str = "104508901353867";
    let relay = Relay::start(backend, |_| {}).await?;
    let spec = |secret: &str| {
        let mut spec = AccountSpec::new(PAGED, "acme_page", "EAAtoken").facebook_login(PAGE);
        let target = relay.simulator.settings().webhooks.target;
        spec.webhook = target.map(|target| WebhookTarget { app_secret: secret.to_owned(), ..target });
        spec
    };
    let mut body = connect_body();
    body["instagramAccountId"] = json!(PAGED);
    body["accessToken"] = json!("EAAtoken");
    body["pageId"] = json!(PAGE);
    // A token that another Meta app was given.
    relay.simulator.put_account(spec("the-secret-of-another-app"));
    let answer = relay.rest.post("connect", body.clone()).await?;
    assert_eq!(
        (answer.status, &answer.json["type"]),
        (422, &json!("urn:dmrelay:problem:token-of-another-app"))
    );
    assert_eq!(relay.rest.get("connections").await?.json["items"], json!([]));
    // Its own app, which wants the proof with every call.
    relay.simulator.put_account(spec(APP_SECRET));
    relay.simulator.configure(|settings| settings.graph.require_proof = true);
    let answer = relay.rest.post("connect", body.clone()).await?;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let row = &relay.store.snapshot().await?[0].row;
    let proof = dmrelay_domain::signature::app_secret_proof(APP_SECRET.as_bytes(), b"EAAtoken");
    let sealed = row.token_proof.as_deref().unwrap_or_default();
    assert!(sealed.len() > 64 && !sealed.windows(64).any(|part| part == proof.as_bytes()));
    relay.simulator.say(PAGED, USER, "hello");
    let sends = |record: &dmrelay_simulator::Record| record.sends_to(PAGED, USER).count();
    let within = std::time::Duration::from_secs(20);
    relay.simulator.wait_for("the reply", within, |record| sends(record) == 1).await?;
    // Once the app's secret is changed at Meta, calls go on without the proof, if the app does not ask for one.
    relay.simulator.put_account(spec("the-secret-that-is-new"));
    relay.simulator.configure(|settings| settings.webhooks.target = None);
    let say = async |mid: &str| {
        let mut webhook: serde_json::Value =
            serde_json::from_slice(&text_webhook(PAGED, USER, mid, "and now?"))?;
        webhook["entry"][0]["messaging"][0]["timestamp"] = json!(relay.simulator.now_ms());
        let webhook = webhook.to_string().into_bytes();
        let answer = relay.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.text);
        Ok(())
    };
    relay.simulator.configure(|settings| settings.graph.require_proof = false);
    say("m-later").await?;
    relay.simulator.wait_for("the reply without it", within, |record| sends(record) == 2).await?;
    // If it does, messages wait for a connect, and none is lost.
    relay.simulator.configure(|settings| settings.graph.require_proof = true);
    say("m-last").await?;
    dmrelay_tests::wait::until("it waits", within, async || {
        Ok((relay.rest.get("status").await?.json["status"] == "reauth_required").then_some(()))
    })
    .await?;
    body["appSecret"] = json!("the-secret-that-is-new");
    let again = relay.rest.post("connect", body).await?;
    assert_eq!(again.status, 201, "{}", again.text);
    relay.simulator.wait_for("the last reply", within, |record| sends(record) == 3).await?;
    relay.end().await
}

async fn secrets_are_encrypted_in_the_database(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let mut body = connect_body();
    body["appSecret"] = json!("own-app-secret");
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    let connections = relay.store.snapshot().await?;
    let row = &connections[0].row;
    for (sealed, plain) in [
        (&row.access_token, TOKEN),
        (&row.verify_token, "own-verify-token"),
        (&row.app_secret, "own-app-secret"),
    ] {
        let sealed = sealed.as_deref().unwrap_or_default();
        assert!(
            sealed.len() > plain.len() && !sealed.windows(plain.len()).any(|part| part == plain.as_bytes())
        );
    }
    relay.end().await
}
