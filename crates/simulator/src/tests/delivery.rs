use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::{ANNA, DEADLINE, Receiver, SECRET, SHOP, Setup};
use crate::{
    AccountSpec, Act, Action, Batch, BatchMessage, RawWebhook, ReleaseOrder, Signing, WebhookTarget,
};

fn verifies(received: &super::Received, secret: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(&received.body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    received.headers.get("x-hub-signature-256").is_some_and(|found| found == expected.as_str())
}

#[tokio::test]
async fn a_webhook_is_signed_over_its_escaped_bytes() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.say(SHOP, ANNA, "grüße https://example.com/");
    let received = setup.receiver.received(1).await?.remove(0);
    assert!(verifies(&received, SECRET));
    assert!(received.body.is_ascii());
    assert!(String::from_utf8_lossy(&received.body).contains(r"gr\u00fc\u00dfe https:\/\/example.com\/"));
    for (name, value) in [
        ("user-agent", "facebookexternalua"),
        ("content-type", "application/json"),
        ("facebook-api-version", "v23.0"),
    ] {
        assert_eq!(received.headers.get(name).and_then(|found| found.to_str().ok()), Some(value));
    }
    Ok(())
}

#[tokio::test]
async fn the_same_bytes_come_again_until_they_are_answered_200() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.receiver.answer_with(&[503, 500, 204]);
    setup.sim.say(SHOP, ANNA, "hi");
    let received = setup.receiver.received(4).await?;
    assert!(received.iter().all(|one| one.body == received[0].body && verifies(one, SECRET)));
    setup.sim.wait_for("the acknowledgement", DEADLINE, crate::Record::webhooks_idle).await?;
    setup.sim.record(|record| {
        let statuses: Vec<_> = record
            .deliveries
            .values()
            .flat_map(|delivery| &delivery.attempts)
            .map(|attempt| attempt.status)
            .collect();
        assert_eq!(statuses, [503, 500, 204, 200].map(Some));
        assert_eq!((record.acknowledged, record.failed_attempts), (1, 3));
    });
    Ok(())
}

#[tokio::test]
async fn a_threads_updates_keep_their_order_through_failures() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.receiver.answer_with(&[500, 500]);
    let mids: Vec<String> = (0..5).map(|n| setup.sim.say(SHOP, ANNA, format!("m{n}"))).collect();
    setup.sim.wait_for("all to be acknowledged", DEADLINE, |record| record.acknowledged == 5).await?;
    let came: Vec<_> =
        setup.receiver.received(7).await?[2..].iter().filter_map(|one| one.item().ok()).collect();
    let came: Vec<_> = came.iter().filter_map(|item| item["message"]["mid"].as_str()).collect();
    assert_eq!(came, mids);
    Ok(())
}

#[tokio::test]
async fn duplicates_come_on_request() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.act(Act::new(SHOP, ANNA, Action::text("hi")).duplicate(2));
    let received = setup.receiver.received(3).await?;
    setup.sim.wait_for("the acknowledgements", DEADLINE, crate::Record::webhooks_idle).await?;
    assert!(received.iter().all(|one| one.body == received[0].body));
    setup.sim.configure(|settings| settings.webhooks.duplicate_probability = 1.0);
    setup.sim.say(SHOP, ANNA, "again");
    let received = setup.receiver.received(5).await?;
    assert_eq!(received[3].body, received[4].body);
    Ok(())
}

#[tokio::test]
async fn held_updates_come_in_one_post_and_out_of_order() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.hold_webhooks();
    let mids: Vec<String> = (0..3).map(|n| setup.sim.say(SHOP, ANNA, format!("m{n}"))).collect();
    setup.send_in_thread().await?;
    assert_eq!(setup.sim.release_webhooks(1000, ReleaseOrder::Reversed), 4);
    let body = setup.receiver.received(1).await?[0].json()?;
    let items = body["entry"][0]["messaging"].as_array().cloned().unwrap_or_default();
    assert_eq!(items.len(), 4);
    assert_eq!(items[0]["message"]["is_echo"], true);
    assert_eq!(items[3]["message"]["mid"], mids[0].as_str());
    // Afterwards delivery works normally.
    setup.sim.say(SHOP, ANNA, "m4");
    setup.receiver.received(2).await?;
    Ok(())
}

#[tokio::test]
async fn a_batch_goes_out_in_posts_of_many() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let message =
        |n: usize| BatchMessage { account: SHOP.to_owned(), user: format!("2000{n}"), text: format!("m{n}") };
    let mids = setup.sim.say_all(Batch { messages: (0..25).map(message).collect(), updates_per_post: 10 });
    assert_eq!(mids.len(), 25);
    setup
        .sim
        .wait_for("all to be acknowledged", DEADLINE, |record| record.updates_acknowledged == 25)
        .await?;
    assert_eq!(setup.sim.record(|record| record.acknowledged), 3);
    Ok(())
}

#[tokio::test]
async fn an_account_can_have_its_own_target() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let own = Receiver::start().await?;
    let target = WebhookTarget { app_secret: "other".to_owned(), ..own.target() };
    setup.sim.put_account(AccountSpec::new(SHOP, "shop", "IGAA-shop").subscribed().webhook(target));
    setup.sim.say(SHOP, ANNA, "hi");
    assert!(verifies(&own.received(1).await?[0], "other"));
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_stays_down_is_unsubscribed_if_configured() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    setup.sim.configure(|settings| settings.webhooks.disable_after_ms = Some(0));
    setup.receiver.answer_with(&[500]);
    setup.sim.say(SHOP, ANNA, "hi");
    setup
        .sim
        .wait_for("giving up", DEADLINE, |record| record.failed_attempts == 1 && record.webhooks_idle())
        .await?;
    assert_eq!(setup.sim.subscribed_fields(SHOP), None);
    Ok(())
}

#[tokio::test]
async fn a_slow_receiver_times_out() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", deaf.local_addr()?);
    setup.sim.configure(|settings| {
        settings.webhooks.timeout_ms = 20;
        settings.webhooks.target = Some(WebhookTarget { url, ..setup.receiver.target() });
    });
    setup.sim.say(SHOP, ANNA, "hi");
    setup.sim.wait_for("timeouts", DEADLINE, |record| record.failed_attempts >= 2).await?;
    // It recovers elsewhere, and the same delivery reaches it.
    setup.sim.set_webhook(Some(setup.receiver.target()));
    setup.receiver.received(1).await?;
    Ok(())
}

#[tokio::test]
async fn the_handshake_returns_the_response() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    assert!(setup.sim.handshake(None, None).await.accepted);
    let refused = setup.sim.handshake(None, Some("wrong")).await;
    assert_eq!((refused.accepted, refused.status), (false, Some(403)));
    Ok(())
}

#[tokio::test]
async fn raw_bodies_are_sent_unchanged() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    for (n, signing) in [Signing::Right, Signing::Wrong, Signing::Missing].into_iter().enumerate() {
        let raw = RawWebhook { body: "{not json".to_owned(), signing, ..RawWebhook::default() };
        assert_eq!(setup.sim.send_raw(raw).await.status, Some(200));
        let received = setup.receiver.received(n + 1).await?;
        assert_eq!(verifies(&received[n], SECRET), signing == Signing::Right);
    }
    setup.sim.send_dashboard_test(None, true).await;
    let test = setup.receiver.received(4).await?[3].json()?;
    assert_eq!(test["entry"][0]["changes"][0]["value"]["timestamp"], json!("1527459824"));
    Ok(())
}

#[tokio::test]
async fn a_condition_that_is_never_met_is_an_error() -> anyhow::Result<()> {
    let setup = Setup::new().await?;
    let failed = setup.sim.wait_for("a miracle", Duration::from_millis(1), |_| false).await;
    assert!(failed.is_err_and(|failed| failed.to_string().contains("a miracle")));
    Ok(())
}

impl Setup {
    async fn send_in_thread(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.send_text("from the account").await?.0 == 200);
        Ok(())
    }
}
