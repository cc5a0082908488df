//! What becomes of a notification that a receiver does not accept.

use super::{WITHIN, add, call, hurry, items, notification, operators_target, received, reject_token};
use anyhow::{Context, Result};
use dmrelay_domain::ids::NotificationTargetId;
use dmrelay_domain::notification::{Attempt, Channel};
use dmrelay_simulator::TokenState;
use dmrelay_store::{AttemptOutcome, NewTarget, Owner};
use dmrelay_tests::database::Database;
use dmrelay_tests::receiver::Receiver;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait::until;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_notification_is_delivered_again_until_the_receiver_accepts_it,
    a_notification_is_given_up_and_may_be_sent_again,
    a_receiver_that_is_gone_is_told_nothing_more,
    a_slow_receiver_delays_nobody_else,
    what_a_dead_worker_had_claimed_is_delivered_by_another,
);

async fn a_notification_is_delivered_again_until_the_receiver_accepts_it(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(503);
    receiver.ask_for(3_600);
    add(&relay, json!({"url": receiver.url("/hook")})).await?;
    reject_token(&relay).await?;
    let waiting = until("an attempt", WITHIN, async || {
        let all = items(&relay, "notifications?state=pending").await?;
        Ok(all.into_iter().find(|one| one["attempts"].as_array().is_some_and(|made| made.len() == 1)))
    })
    .await?;
    assert_eq!(waiting["attempts"][0]["status"], 503);
    assert_eq!(waiting["attempts"][0]["error"], "the receiver answered with 503");
    // As late as the receiver asks for.
    let next = dmrelay_views::parse_time(waiting["nextAttemptAt"].as_str().context("no time")?);
    let wait = next.map_err(anyhow::Error::msg)? - relay.store.now().await?;
    assert!((3_500_000..=3_600_000).contains(&wait), "{wait}");
    // One that does not answer, one that sends elsewhere, and at last one that accepts.
    receiver.hang();
    hurry(&relay).await?;
    received(&receiver, "/hook", 2).await?;
    let attempts = async |count: usize| {
        until("another attempt", WITHIN, async || {
            let all = items(&relay, "notifications").await?;
            let made = all[0]["attempts"].as_array().cloned().context("no attempts")?;
            Ok((made.len() >= count).then_some(made))
        })
        .await
    };
    assert_eq!(attempts(2).await?[1]["status"], Value::Null);
    receiver.answer(302);
    hurry(&relay).await?;
    let made = attempts(3).await?;
    assert!(
        made[2]["error"].as_str().is_some_and(|why| why.contains("redirects are not followed")),
        "{made:?}"
    );
    receiver.answer(204);
    hurry(&relay).await?;
    let told = notification(&relay, "delivered").await?;
    assert_eq!((told["attempts"].as_array().map(Vec::len), &told["nextAttemptAt"]), (Some(4), &Value::Null));
    let came = receiver.received();
    let ids: Vec<&str> = came.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!(ids, [ids[0]; 4], "receivers tell repeated deliveries by the id");
    relay.end().await
}

async fn a_notification_is_given_up_and_may_be_sent_again(backend: Backend) -> Result<()> {
    let relay =
        Relay::connected(backend, |settings| settings.worker.incidents.notification_attempts = 2).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(500);
    let target = add(&relay, json!({"url": receiver.url("/hook")})).await?;
    reject_token(&relay).await?;
    received(&receiver, "/hook", 1).await?;
    let failed = until("it is given up", WITHIN, async || {
        hurry(&relay).await?;
        Ok(items(&relay, "notifications?state=failed").await?.pop())
    })
    .await?;
    assert_eq!(failed["attempts"].as_array().map(Vec::len), Some(2));
    let log = items(&relay, "activities?kind=NOTIFICATION_FAILED").await?;
    assert_eq!(log[0]["details"]["targetId"], target["targetId"], "{log:?}");
    assert_eq!(log[0]["details"]["incident"], "reauth_required");
    let again = format!("notifications/{}/retry", failed["notificationId"].as_str().context("no id")?);
    receiver.answer(200);
    assert_eq!(call(&relay, "POST", &again, None).await?.status, 202);
    let told = notification(&relay, "delivered").await?;
    assert_eq!(told["notificationId"], failed["notificationId"]);
    assert_eq!(call(&relay, "POST", &again, None).await?.status, 409);
    relay.end().await
}

async fn a_receiver_that_is_gone_is_told_nothing_more(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    receiver.answer(410);
    let target = add(&relay, json!({"url": receiver.url("/hook")})).await?;
    reject_token(&relay).await?;
    notification(&relay, "failed").await?;
    let target_now = items(&relay, "notification-targets").await?.remove(0);
    assert_eq!(target_now["enabled"], false);
    assert_eq!(target_now["disabledReason"], "the receiver answered with 410");
    let id = target["targetId"].as_str().context("no id")?;
    let test = call(&relay, "POST", &format!("notification-targets/{id}/test"), None).await?;
    assert_eq!(
        (test.status, &test.json["type"]),
        (409, &json!("urn:dmrelay:problem:target-disabled")),
        "{}",
        test.text
    );
    relay.end().await
}

async fn a_slow_receiver_delays_nobody_else(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.notify.notification_timeout = Duration::from_secs(15);
        settings.worker.incidents.notification_concurrency = 4;
    })
    .await?;
    let (slow, fast) = (Receiver::start().await?, Receiver::start().await?);
    slow.hang();
    for n in 0..6 {
        add(&relay, json!({"url": slow.url(&format!("/{n}"))})).await?;
    }
    operators_target(&relay, &fast.url("/operator")).await?;
    reject_token(&relay).await?;
    received(&fast, "/operator", 1).await?;
    until("two attempts", WITHIN, async || Ok((slow.received().len() >= 2).then_some(()))).await?;
    // What comes later is told at once, while two of the subaccount's targets are being waited for.
    relay.simulator.set_tokens(ACCOUNT, TokenState::Valid);
    relay.rest.post("check", json!({})).await?;
    received(&fast, "/operator", 2).await?;
    assert_eq!(slow.received().len(), 2);
    drop(relay);
    Ok(())
}

async fn what_a_dead_worker_had_claimed_is_delivered_by_another(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    let new = NewTarget {
        id: NotificationTargetId::new(),
        owner: Owner::Operator,
        channel: Channel::Webhook,
        address: "https://hooks.example.com".to_owned(),
        name: None,
        secret: None,
        kinds: None,
        resolved: true,
    };
    let target = store.create_notification_target(new, 5, &"operator".into()).await?.context("too many")?;
    let told = store.create_test_notification(&target, Duration::ZERO).await?.context("tested lately")?;
    // Of several workers that look at once, one has it.
    let lease = Duration::from_millis(300);
    let (one, other) = tokio::join!(store.claim_notifications(lease, 8), store.claim_notifications(lease, 8));
    let (mut one, other) = (one?, other?);
    one.extend(other);
    assert_eq!(one.len(), 1);
    assert_eq!(store.claim_notifications(lease, 8).await?.len(), 0);
    // It is never heard of again, and after its lease another has it.
    let mut another = until("it is claimed again", WITHIN, async || {
        Ok(Some(store.claim_notifications(lease * 100, 8).await?).filter(|all| !all.is_empty()))
    })
    .await?;
    assert_eq!((another.len(), another[0].row.attempts), (1, 2));
    // The first turns out to be alive: what it tells counts no more.
    let attempt = |status| Attempt { at: 1, took_ms: 1, status: Some(status), error: None };
    let (first, second) = (one.remove(0), another.remove(0));
    store.record_attempt(&first, attempt(500), &AttemptOutcome::GiveUp).await?;
    let state = async || anyhow::Ok(store.notification(&Owner::Operator, told.id).await?.context("gone")?);
    assert_eq!(state().await?.state.as_str(), "pending");
    store.record_attempt(&second, attempt(200), &AttemptOutcome::Delivered).await?;
    let told = state().await?;
    assert_eq!((told.state.as_str(), told.attempts_made()), ("delivered", vec![attempt(200)]));
    Ok(())
}
