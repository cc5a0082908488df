//! Who is told: targets of subaccounts and of the operator.

use super::{
    WITHIN, add, call, hurry, items, notification, operators_target, received, reject_token, set, types,
};
use anyhow::{Context, Result};
use dmrelay_simulator::TokenState;
use dmrelay_tests::receiver::Receiver;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait::until;
use serde_json::{Value, json};

on_both_backends!(
    a_target_is_tested_once_at_a_time,
    targets_are_told_of_their_kinds_and_of_their_subaccount_only,
    a_replaced_secret_signs_for_a_day_more,
    a_disabled_target_is_told_what_is_wrong_once_it_is_enabled,
    a_target_that_cannot_be_is_refused,
    targets_are_removed_with_what_they_were_told,
);

async fn a_target_is_tested_once_at_a_time(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(500);
    let target = add(&relay, json!({"url": receiver.url("/hook"), "kinds": ["silence"]})).await?;
    let test = format!("notification-targets/{}/test", target["targetId"].as_str().context("no id")?);
    let answer = call(&relay, "POST", &test, None).await?;
    assert_eq!((answer.status, &answer.json["state"]), (202, &json!("pending")), "{}", answer.text);
    let again = call(&relay, "POST", &test, None).await?;
    assert_eq!((again.status, again.header("retry-after")), (429, "10"), "{}", again.text);
    // It is tried once, so that the answer is known at once.
    let failed = notification(&relay, "failed").await?;
    assert_eq!((&failed["type"], &failed["incident"]), (&json!("test"), &Value::Null));
    let one = format!("notifications/{}", answer.json["notificationId"].as_str().context("no id")?);
    assert_eq!(call(&relay, "GET", &one, None).await?.json, failed);
    let came = receiver.received();
    assert_eq!((came.len(), &came[0].body["type"]), (1, &json!("test")));
    relay.end().await
}

async fn targets_are_told_of_their_kinds_and_of_their_subaccount_only(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    add(&relay, json!({"url": receiver.url("/all"), "sendResolved": false})).await?;
    add(&relay, json!({"url": receiver.url("/silence"), "kinds": ["silence", "dead_letters"]})).await?;
    let of_another = json!({"url": receiver.url("/other")}).to_string().into_bytes();
    let to = "/api/database/other/notification-targets";
    assert_eq!(relay.rest.request("POST", to, Some(of_another), &[]).await?.status, 201);
    operators_target(&relay, &receiver.url("/operator")).await?;
    reject_token(&relay).await?;
    received(&receiver, "/all", 1).await?;
    received(&receiver, "/operator", 1).await?;
    relay.simulator.set_tokens(ACCOUNT, TokenState::Valid);
    relay.rest.post("check", json!({})).await?;
    assert_eq!(types(&received(&receiver, "/operator", 2).await?), ["incident.opened", "incident.resolved"]);
    until("all is told", WITHIN, async || {
        Ok(items(&relay, "notifications?state=pending").await?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(types(&receiver.received_at("/all")), ["incident.opened"]);
    for path in ["/silence", "/other"] {
        assert_eq!(receiver.received_at(path).len(), 0, "{path}");
    }
    // What the operator was told is not in a subaccount's list.
    assert_eq!(items(&relay, "notifications").await?.len(), 1);
    relay.end().await
}

async fn a_replaced_secret_signs_for_a_day_more(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    let target = add(&relay, json!({"url": receiver.url("/hook")})).await?;
    let id = target["targetId"].as_str().context("no id")?.to_owned();
    let rotated = call(&relay, "POST", &format!("notification-targets/{id}/secret"), None).await?;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let (former, secret) = (&target["secret"], &rotated.json["secret"]);
    assert_ne!(former, secret);
    let test = async || call(&relay, "POST", &format!("notification-targets/{id}/test"), None).await;
    assert_eq!(test().await?.status, 202);
    let came = received(&receiver, "/hook", 1).await?;
    for one in [former, secret] {
        assert_eq!(came[0].signatures_of(one.as_str().context("no secret")?)?, 1);
    }
    // A day later.
    set(&relay, "UPDATE notification_targets SET former_until = 1").await?;
    set(&relay, "UPDATE notifications SET created_at = 1").await?;
    assert_eq!(test().await?.status, 202);
    let came = received(&receiver, "/hook", 2).await?;
    assert_eq!(came[1].signatures_of(former.as_str().context("no secret")?)?, 0);
    assert_eq!(came[1].signatures_of(secret.as_str().context("no secret")?)?, 1);
    relay.end().await
}

async fn a_disabled_target_is_told_what_is_wrong_once_it_is_enabled(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(503);
    let target = add(&relay, json!({"url": receiver.url("/hook")})).await?;
    let one = format!("notification-targets/{}", target["targetId"].as_str().context("no id")?);
    reject_token(&relay).await?;
    received(&receiver, "/hook", 1).await?;
    let off = call(&relay, "PATCH", &one, Some(json!({"enabled": false, "name": "Night shift"}))).await?;
    assert_eq!(
        (off.status, &off.json["enabled"], &off.json["name"]),
        (200, &json!(false), &json!("Night shift"))
    );
    // What waits, waits: another is told meanwhile.
    add(&relay, json!({"url": receiver.url("/other")})).await?;
    received(&receiver, "/other", 1).await?;
    hurry(&relay).await?;
    receiver.answer(200);
    received(&receiver, "/other", 2).await?;
    assert_eq!(receiver.received_at("/hook").len(), 1);
    let on = call(&relay, "PATCH", &one, Some(json!({"enabled": true, "url": receiver.url("/new")}))).await?;
    assert_eq!((on.status, &on.json["enabled"]), (200, &json!(true)), "{}", on.text);
    let came = received(&receiver, "/new", 1).await?;
    assert_eq!(types(&came), ["incident.opened"]);
    // The same notification, so that a receiver that had it all the same can tell.
    assert_eq!(came[0].header("webhook-id"), receiver.received_at("/hook")[0].header("webhook-id"));
    relay.end().await
}

async fn a_target_that_cannot_be_is_refused(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, |settings| {
        settings.notify.notification_private_addresses = false;
        settings.limits.notification_targets_per_subaccount = 1;
    })
    .await?;
    let refused = async |body: Value| {
        let answer = call(&relay, "POST", "notification-targets", Some(body)).await?;
        anyhow::ensure!(answer.status == 422, "{} {}", answer.status, answer.text);
        let first = &answer.json["errors"][0];
        anyhow::Ok((
            first["pointer"].as_str().unwrap_or_default().to_owned(),
            first["detail"].as_str().unwrap_or_default().to_owned(),
        ))
    };
    for (body, pointer, why) in [
        (json!({}), "/url", "is required"),
        (json!({"url": "https://a.example.com", "email": "a@example.com"}), "/email", "together with url"),
        (json!({"url": "http://hooks.example.com"}), "/url", "https"),
        (json!({"url": "https://127.0.0.1:8080/x"}), "/url", "public address"),
        (json!({"url": "https://[::ffff:10.0.0.1]/"}), "/url", "public address"),
        (json!({"url": "https://localhost/x"}), "/url", "public address"),
        (json!({"url": "https://user:word@hooks.example.com/"}), "/url", "password"),
        (json!({"email": "ops@example.com"}), "/email", "no mail server"),
        (
            json!({"url": "https://hooks.example.com", "kinds": ["silence", "weather"]}),
            "/kinds/1",
            "must be one of",
        ),
        (json!({"url": "https://hooks.example.com", "name": "x".repeat(101)}), "/name", "100"),
    ] {
        let found = refused(body.clone()).await?;
        assert!(found.0 == pointer && found.1.contains(why), "{body}: {found:?}");
    }
    // Whatever a stored URL says, a private address is not called.
    let target = add(&relay, json!({"url": "https://hooks.example.com"})).await?;
    let receiver = Receiver::start().await?;
    let private = receiver.url("/hook").replace("http://", "https://");
    set(&relay, &format!("UPDATE notification_targets SET address = '{private}'")).await?;
    let id = target["targetId"].as_str().context("no id")?;
    call(&relay, "POST", &format!("notification-targets/{id}/test"), None).await?;
    let failed = notification(&relay, "failed").await?;
    assert!(
        failed["attempts"][0]["error"].as_str().is_some_and(|why| why.contains("public address")),
        "{failed}"
    );
    assert_eq!(receiver.received().len(), 0);
    let one_more = json!({"url": "https://other.example.com"});
    let answer = call(&relay, "POST", "notification-targets", Some(one_more)).await?;
    assert_eq!(
        (answer.status, &answer.json["type"]),
        (409, &json!("urn:dmrelay:problem:too-many-targets")),
        "{}",
        answer.text
    );
    let wrong = json!({"email": "a@example.com"});
    let answer = call(&relay, "PATCH", &format!("notification-targets/{id}"), Some(wrong)).await?;
    assert_eq!(
        (answer.status, &answer.json["errors"][0]["pointer"]),
        (422, &json!("/email")),
        "{}",
        answer.text
    );
    relay.end().await
}

async fn targets_are_removed_with_what_they_were_told(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    let target = add(&relay, json!({"url": receiver.url("/hook")})).await?;
    let one = format!("notification-targets/{}", target["targetId"].as_str().context("no id")?);
    reject_token(&relay).await?;
    notification(&relay, "delivered").await?;
    assert_eq!(call(&relay, "DELETE", &one, None).await?.status, 204);
    for list in ["notifications", "notification-targets"] {
        assert_eq!(items(&relay, list).await?, Vec::<Value>::new(), "{list}");
    }
    assert_eq!(call(&relay, "DELETE", &one, None).await?.status, 404);
    let kinds = ["NOTIFICATION_TARGET_ADDED", "NOTIFICATION_TARGET_REMOVED"];
    for kind in kinds {
        assert_eq!(items(&relay, &format!("activities?kind={kind}")).await?.len(), 1, "{kind}");
    }
    relay.end().await
}
