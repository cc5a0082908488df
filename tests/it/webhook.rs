//! Meta's webhooks: authentication, acknowledgement, and its timing.

use anyhow::Result;
use dmrelay_domain::signature::sign;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, VERIFY_TOKEN, agent_path, connect_body, text_webhook};
use serde_json::json;
use std::time::{Duration, Instant};

on_both_backends!(
    the_handshake_echoes_the_challenge_and_nothing_else,
    only_signed_bytes_are_accepted,
    an_accounts_own_secret_speaks_for_that_account_only,
    one_secret_in_two_places_speaks_for_both,
    all_of_a_thousand_items_are_stored,
    unknown_bodies_are_acknowledged_and_stored,
    a_long_body_is_rejected,
);

const SHARED: &str = "/webhooks/instagram";
const USER: &str = "200000000000001";

async fn the_handshake_echoes_the_challenge_and_nothing_else(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let public = relay.rest.with_key(None);
    let own = agent_path("webhook");
    for (path, token) in [(SHARED, VERIFY_TOKEN), (own.as_str(), "own-verify-token")] {
        let get = async |mode: &str, token: &str, challenge: &str| {
            let query = format!("{path}?hub.mode={mode}&hub.verify_token={token}&hub.challenge={challenge}");
            public.request("GET", &query, None, &[]).await
        };
        let good = get("subscribe", token, "1158201444").await?;
        assert_eq!(
            (good.status, good.text.as_str(), good.content_type.as_str()),
            (200, "1158201444", "text/plain")
        );
        for (mode, token, challenge) in [
            ("subscribe", "wrong", "1"),
            ("subscribe", "", "1"),
            ("unsubscribe", token, "1"),
            ("subscribe", token, ""),
            ("subscribe", token, "%3Cscript%3E"),
            ("subscribe", token, "a%0d%0ab"),
        ] {
            let bad = get(mode, token, challenge).await?;
            assert_eq!(bad.status, 403, "{mode} {challenge}");
            assert!(!bad.text.contains("script") && !bad.text.contains(VERIFY_TOKEN));
        }
    }
    assert_eq!(public.request("GET", SHARED, None, &[]).await?.status, 403);
    relay.end().await
}

async fn only_signed_bytes_are_accepted(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.graph.app_secrets =
            dmrelay_runtime::settings::MetaAppSecretsArg::of(&format!("an-older-secret, {APP_SECRET}"));
    })
    .await?;
    let body = text_webhook(ACCOUNT, USER, "m-1", "hello");
    let good = sign(APP_SECRET.as_bytes(), &body);
    let post = async |headers: &[(&str, &str)], body: &[u8]| {
        relay.rest.with_key(None).request("POST", SHARED, Some(body.to_vec()), headers).await
    };
    let mut tampered = body.clone();
    tampered.push(b' ');
    for headers in [
        &[][..],
        &[("x-hub-signature-256", "")],
        &[("x-hub-signature-256", "sha256=00")],
        &[("x-hub-signature", good.as_str())],
        &[("x-hub-signature-256", sign(b"guess", &body).as_str())],
    ] {
        let answer = post(headers, &body).await?;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(!answer.text.contains("sha256="), "{}", answer.text);
    }
    assert_eq!(post(&[("x-hub-signature-256", &good)], &tampered).await?.status, 403);
    assert!(!relay.store.anything_due().await?);
    for secret in [APP_SECRET, "an-older-secret"] {
        let body = text_webhook(ACCOUNT, USER, &format!("m-{secret}"), "hello");
        assert_eq!(relay.rest.webhook(SHARED, &body, secret).await?.status, 200);
    }
    relay.end().await
}

async fn an_accounts_own_secret_speaks_for_that_account_only(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let mut body = connect_body();
    body["appSecret"] = json!("own-app-secret");
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    let own = agent_path("webhook");
    let mine = text_webhook(ACCOUNT, USER, "mine", "hello");
    let theirs = text_webhook("17841400000000042", USER, "theirs", "hello");
    assert_eq!(relay.rest.webhook(SHARED, &mine, "own-app-secret").await?.status, 403);
    assert_eq!(relay.rest.webhook(&own, &mine, "own-app-secret").await?.status, 200);
    // Acknowledged and counted, but not stored: the signer may not speak for these accounts.
    assert_eq!(relay.rest.webhook(&own, &theirs, "own-app-secret").await?.status, 200);
    assert_eq!(
        relay.rest.webhook(SHARED, &text_webhook(ACCOUNT, USER, "platform", "x"), APP_SECRET).await?.status,
        200
    );
    relay.settled().await?;
    let metrics = String::from_utf8(relay.metrics.render())?;
    assert!(
        metrics.contains(r#"dmrelay_events_total{kind="message",outcome="not_spoken_for"} 2"#),
        "{metrics}"
    );
    let texts: Vec<_> = relay
        .messages(USER)
        .await?
        .iter()
        .filter(|m| m["direction"] == "inbound")
        .map(|m| m["mid"].clone())
        .collect();
    assert_eq!(texts, ["mine"]);
    dmrelay_tests::wait::until("the notice", Duration::from_secs(20), async || {
        let status = relay.rest.get("status").await?.json;
        let notice = &status["notices"][0];
        Ok((notice["code"] == "not_spoken_for" && notice["count"] == 1).then_some(()))
    })
    .await?;
    relay.end().await
}

/// The platform's secret, given again as the account's own.
async fn one_secret_in_two_places_speaks_for_both(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let mut body = connect_body();
    body["appSecret"] = json!(APP_SECRET);
    assert_eq!(relay.rest.post("connect", body).await?.status, 201);
    for (number, path) in [SHARED, agent_path("webhook").as_str()].into_iter().enumerate() {
        let webhook = text_webhook(ACCOUNT, USER, &format!("m-{number}"), "hello");
        assert_eq!(relay.rest.webhook(path, &webhook, APP_SECRET).await?.status, 200);
        relay.settled().await?;
        assert_eq!(relay.messages(USER).await?.iter().filter(|m| m["author"] == "user").count(), number + 1);
    }
    let metrics = String::from_utf8(relay.metrics.render())?;
    let mut ignored = metrics.lines().filter(|line| line.contains(r#"outcome="not_spoken_for"}"#));
    assert!(ignored.all(|line| line.ends_with(" 0")), "{metrics}");
    relay.end().await
}

async fn all_of_a_thousand_items_are_stored(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let now = relay.store.now().await?;
    let item = |n: usize| {
        json!({"sender": {"id": format!("3{n:05}")}, "recipient": {"id": "1"}, "timestamp": now,
            "message": {"mid": format!("mid-{n}"), "text": "x"}})
    };
    let items: Vec<_> = (0..1_000).map(item).collect();
    let body =
        json!({"object": "instagram", "entry": [{"id": "1", "time": now, "messaging": items}]}).to_string();
    for _ in 0..2 {
        assert_eq!(relay.rest.webhook(SHARED, body.as_bytes(), APP_SECRET).await?.status, 200);
    }
    dmrelay_tests::wait::until("all are unrouted", Duration::from_secs(30), async || {
        Ok((relay.store.count_events("unrouted").await? == 1_000).then_some(()))
    })
    .await?;
    relay.end().await
}

async fn unknown_bodies_are_acknowledged_and_stored(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    for body in [
        "",
        "not json",
        "[]",
        "{}",
        r#"{"object":"instagram","entry":[{"id":"1","time":1,"messaging":[{"odd":"\u0000"}]}]}"#,
    ] {
        let answer = relay.rest.webhook(SHARED, body.as_bytes(), APP_SECRET).await?;
        assert_eq!(answer.status, 200, "{body}");
    }
    // A NUL in a text does not prevent the message from being answered.
    relay.simulator.say(ACCOUNT, USER, "a\0b");
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: ab"]);
    relay.settled().await?;
    // Those of the account are told where they belong, the others are dead letters.
    assert_eq!(relay.store.count_events("unknown").await?, 3);
    relay.end().await
}

async fn a_long_body_is_rejected(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| settings.api.webhook_max_bytes = 2_000).await?;
    let long = vec![b' '; 2_001];
    assert_eq!(relay.rest.webhook(SHARED, &long, APP_SECRET).await?.status, 413);
    relay.end().await
}

/// The database is down: webhooks are rejected at once, so that Meta delivers them again; then all are
/// answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_down_webhooks_are_rejected_and_none_is_lost() -> Result<()> {
    let relay = Relay::connected(Backend::Servers, |_| {}).await?;
    let postgres = relay.postgres.as_ref().ok_or_else(|| anyhow::anyhow!("no PostgreSQL"))?;
    postgres.kill()?;
    let body = text_webhook(ACCOUNT, USER, "down", "hello");
    for _ in 0..5 {
        let started = Instant::now();
        assert_eq!(relay.rest.webhook(SHARED, &body, APP_SECRET).await?.status, 503);
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
    relay.simulator.say(ACCOUNT, USER, "while down");
    postgres.up()?;
    assert_eq!(relay.replies(USER, 1).await?, ["Answer to: while down"]);
    relay.end().await
}
