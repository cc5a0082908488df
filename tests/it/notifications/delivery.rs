//! What becomes of a notification that a receiver does not accept.

use super::{WITHIN, add, call, hurry, items, notification, operators_target, received, reject_token};
use anyhow::{Context, Result};
use dmrelay_domain::ids::{NotificationTargetId, SubaccountId};
use dmrelay_domain::notification::{Attempt, Channel, Condition, IncidentKind};
use dmrelay_entity::{incident, notification};
use dmrelay_simulator::TokenState;
use dmrelay_store::{AttemptOutcome, NewTarget, Owner, Store};
use dmrelay_tests::database::Database;
use dmrelay_tests::receiver::Receiver;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::wait::until;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_notification_is_delivered_again_until_the_receiver_accepts_it,
    a_notification_is_given_up_and_may_be_sent_again,
    a_receiver_that_is_gone_is_told_nothing_more,
    a_slow_receiver_delays_nobody_else,
    what_a_dead_worker_had_claimed_is_delivered_by_another,
    a_failing_target_with_many_notifications_stands_in_nobodys_way,
    what_is_old_is_deleted_but_not_what_lasts,
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
    // What it was never told is not over for it either.
    assert_eq!(items(&relay, "notifications").await?.len(), 1);
    let test = call(&relay, "POST", &format!("notification-targets/{id}/test"), None).await?;
    assert_eq!(
        (test.status, &test.json["type"]),
        (409, &json!("urn:dmrelay:problem:target-disabled")),
        "{}",
        test.text
    );
    // It is there again: what it refused is told, for that is still wrong.
    receiver.answer(200);
    let on = Some(json!({"enabled": true}));
    assert_eq!(call(&relay, "PATCH", &format!("notification-targets/{id}"), on).await?.status, 200);
    let told = notification(&relay, "delivered").await?;
    assert_eq!(told["notificationId"], receiver.received()[0].header("webhook-id"));
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
    let told =
        store.create_test_notification(&target, (Duration::ZERO, 10)).await?.context("tested lately")?;
    // Of several workers that look at once, one has it.
    let lease = Duration::from_millis(300);
    let (one, other) = tokio::join!(store.claim_notifications(lease, 8), store.claim_notifications(lease, 8));
    let (mut one, other) = (one?, other?);
    one.extend(other);
    assert_eq!(one.len(), 1);
    assert_eq!(store.claim_notifications(lease, 8).await?.len(), 0);
    // Nor is a second notification to the same target claimed meanwhile.
    assert!(store.create_test_notification(&target, (Duration::ZERO, 10)).await?.is_none());
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

/// An incident of this subaccount.
fn wrong(subaccount: &str, n: u32) -> Result<Condition> {
    Ok(Condition {
        kind: IncidentKind::Silence,
        subject: format!("{subaccount}:{n}"),
        subaccount: Some(SubaccountId::parse(subaccount)?),
        account: None,
        detail: format!("Account {n} is silent."),
        since: None,
    })
}

async fn target_of(store: &Store, subaccount: &str) -> Result<NotificationTargetId> {
    let new = NewTarget {
        id: NotificationTargetId::new(),
        owner: Owner::Subaccount(SubaccountId::parse(subaccount)?),
        channel: Channel::Webhook,
        address: format!("https://{subaccount}.example.com"),
        name: None,
        secret: None,
        kinds: None,
        resolved: true,
    };
    let made = store.create_notification_target(new, 5, &"admin".into()).await?;
    Ok(made.context("too many")?.id)
}

const AT_ONCE: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);

async fn a_failing_target_with_many_notifications_stands_in_nobodys_way(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    let (many, few) = (target_of(&store, "many").await?, target_of(&store, "few").await?);
    let mut conditions = (0..120).map(|n| wrong("many", n)).collect::<Result<Vec<_>>>()?;
    conditions.push(wrong("few", 0)?);
    store.sync_incidents(conditions, AT_ONCE).await?;
    // However many one is to be told of, the other is told with them.
    assert_eq!(store.announce_incidents(Duration::ZERO).await?, 121);
    assert_eq!(store.announce_incidents(Duration::ZERO).await?, 0, "each of them once");
    let lease = Duration::from_mins(1);
    let first = store.claim_notifications(lease, 16).await?;
    let mut targets: Vec<NotificationTargetId> = first.iter().map(|one| one.target.id).collect();
    targets.sort();
    assert_eq!(targets, [many, few]);
    // One attempt fails, and all that waits for that target is put off.
    let failed = first.iter().find(|one| one.target.id == many).context("not claimed")?;
    let attempt = Attempt { at: 1, took_ms: 1, status: None, error: Some("no answer".to_owned()) };
    store.record_attempt(failed, attempt, &AttemptOutcome::Retry(Duration::from_mins(2))).await?;
    assert_eq!(store.claim_notifications(lease, 16).await?.len(), 0);
    Ok(())
}

async fn what_is_old_is_deleted_but_not_what_lasts(backend: Backend) -> Result<()> {
    let database = Database::start(backend)?;
    let store = database.open().await?;
    let target = target_of(&store, "acme").await?;
    let owner = Owner::Subaccount(SubaccountId::parse("acme")?);
    let row = store.notification_target(&owner, target).await?.context("gone")?;
    store.create_test_notification(&row, (Duration::ZERO, 10)).await?.context("tested lately")?;
    store.sync_incidents(vec![wrong("acme", 1)?, wrong("acme", 2)?], AT_ONCE).await?;
    store.announce_incidents(Duration::ZERO).await?;
    // One of them is over.
    store.sync_incidents(vec![wrong("acme", 2)?], AT_ONCE).await?;
    let db = store.connection();
    let long_ago = "UPDATE incidents SET began_at = 1, seen_at = 1, ended_at = CASE WHEN ended_at IS NULL THEN NULL ELSE 1 END";
    for sql in [long_ago, "UPDATE notifications SET created_at = 1, finished_at = 1, state = 'delivered'"] {
        db.execute_unprepared(sql).await?;
    }
    let day = Duration::from_hours(24);
    assert_eq!(store.forget_tests(day, 10).await?, 1);
    assert_eq!(store.forget_incidents(day, 10).await?, 1);
    assert_eq!((store.forget_tests(day, 10).await?, store.forget_incidents(day, 10).await?), (0, 0));
    // What lasts is not told again.
    assert_eq!(store.announce_incidents(Duration::ZERO).await?, 0);
    let left = notification::Entity::find().count(db).await?;
    assert_eq!((left, incident::Entity::find().count(db).await?), (1, 1));
    // What was to be told to a target that is gone.
    db.execute_unprepared("UPDATE notifications SET state = 'pending'").await?;
    db.execute_unprepared("DELETE FROM notification_targets").await?;
    assert_eq!(store.forget_tests(day, 10).await?, 1);
    Ok(())
}
