//! What is wrong is found, told once, and told once more when it is over.

use super::{USER, WITHIN, add, items, notification, received, reject_token, set, types};
use anyhow::{Context, Result};
use dmrelay_domain::ids::{AgentId, InstagramAccountId};
use dmrelay_runtime::settings::SmtpUrlArg;
use dmrelay_simulator::{Fault, FaultMode, Operation, TokenState};
use dmrelay_store::{BreakerKey, IncidentFilter, Owner};
use dmrelay_tests::receiver::{MailServer, Receiver};
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, SUBACCOUNT};
use dmrelay_tests::wait::until;
use serde_json::{Value, json};
use std::time::Duration;

on_both_backends!(
    a_rejected_token_is_told_once_by_a_signed_webhook_and_so_is_its_end,
    e_mails_say_what_is_wrong,
    every_kind_of_incident_is_found,
    what_comes_and_goes_is_one_incident,
);

async fn a_rejected_token_is_told_once_by_a_signed_webhook_and_so_is_its_end(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let receiver = Receiver::start().await?;
    let target = add(&relay, json!({"url": receiver.url("/hook"), "name": "Operations"})).await?;
    let secret = target["secret"].as_str().context("no secret")?;
    reject_token(&relay).await?;
    let came = received(&receiver, "/hook", 1).await?;
    let (first, body) = (&came[0], &came[0].body);
    assert_eq!(first.signatures_of(secret)?, 1);
    assert_eq!(
        (&body["type"], &body["data"]["kind"]),
        (&json!("incident.opened"), &json!("reauth_required"))
    );
    assert_eq!(body["data"]["instagramAccountId"], ACCOUNT);
    assert_eq!(body["data"]["subaccountId"], SUBACCOUNT);
    assert!(body["data"]["message"].as_str().is_some_and(|text| text.contains("190/460")), "{body}");
    let sent_at: i64 = first.header("webhook-timestamp").parse()?;
    assert!((relay.store.now().await? / 1_000 - sent_at).abs() < 60, "{sent_at}");
    let told = notification(&relay, "delivered").await?;
    assert_eq!(told["notificationId"], first.header("webhook-id"));
    assert_eq!((&told["attempts"][0]["status"], &told["attempts"][0]["error"]), (&json!(200), &Value::Null));
    // Another check finds the same, and nobody is told again.
    relay.rest.post("check", json!({})).await?;
    let open = items(&relay, "incidents?state=open").await?;
    assert_eq!(
        (open.len(), &open[0]["kind"], &open[0]["endedAt"]),
        (1, &json!("reauth_required"), &Value::Null)
    );
    relay.simulator.set_tokens(ACCOUNT, TokenState::Valid);
    relay.rest.post("check", json!({})).await?;
    let came = received(&receiver, "/hook", 2).await?;
    assert_eq!(types(&came), ["incident.opened", "incident.resolved"]);
    assert_eq!(came[1].body["data"]["incidentId"], body["data"]["incidentId"]);
    assert!(came[1].body["data"]["endedAt"].is_string(), "{}", came[1].body);
    assert_ne!(came[1].header("webhook-id"), first.header("webhook-id"));
    assert_eq!(items(&relay, "incidents?state=open").await?, Vec::<Value>::new());
    assert_eq!(items(&relay, "incidents?state=resolved&kind=reauth_required").await?.len(), 1);
    relay.end().await
}

async fn e_mails_say_what_is_wrong(backend: Backend) -> Result<()> {
    let server = MailServer::start().await?;
    let relay = Relay::connected(backend, |settings| {
        settings.notify.smtp_url = SmtpUrlArg::of(&server.url());
        settings.notify.smtp_from = Some("dmrelay <alerts@example.com>".to_owned());
    })
    .await?;
    let target = add(&relay, json!({"email": "ops@example.com"})).await?;
    assert_eq!(
        (&target["channel"], &target["secret"], &target["url"]),
        (&json!("email"), &Value::Null, &Value::Null)
    );
    add(&relay, json!({"email": "nobody@example.com"})).await?;
    add(&relay, json!({"email": "busy@example.com"})).await?;
    reject_token(&relay).await?;
    let mails =
        until("an e-mail", WITHIN, async || Ok(Some(server.mails()).filter(|all| !all.is_empty()))).await?;
    let mail = &mails[0];
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("alerts@example.com", ["ops@example.com".to_owned()].as_slice())
    );
    for part in [
        "From: dmrelay <alerts@example.com>",
        "Subject: [dmrelay] The account must be reconnected (@acme)",
        "Auto-Submitted: auto-generated",
        "Account: @acme, 17841400000000001",
        "Connect the account again.",
    ] {
        assert!(mail.data.contains(part), "{part:?} is missing in {}", mail.data);
    }
    // Who is refused for good is not tried again; who is refused for now is.
    let failed = notification(&relay, "failed").await?;
    assert_eq!(
        (&failed["attempts"][0]["status"], failed["attempts"].as_array().map(Vec::len)),
        (&json!(550), Some(1))
    );
    let waiting = until("the other attempt", WITHIN, async || {
        let all = items(&relay, "notifications?state=pending").await?;
        Ok(all.into_iter().find(|one| !one["attempts"][0].is_null()))
    })
    .await?;
    assert_eq!(waiting["attempts"][0]["status"], 451);
    relay.end().await
}

async fn every_kind_of_incident_is_found(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |_| {}).await?;
    let kinds = async || {
        let mut kinds = Vec::new();
        for one in items(&relay, "incidents?state=open").await? {
            kinds.push((
                one["kind"].as_str().unwrap_or_default().to_owned(),
                one["message"].as_str().unwrap_or_default().to_owned(),
            ));
        }
        kinds.sort();
        anyhow::Ok(kinds)
    };
    // The account is switched off for apps, its token ends, and nothing has come for long.
    relay.simulator.set_message_access(ACCOUNT, false);
    let now = relay.store.now().await?;
    let (ends, connected) = (now + 8 * 86_400_000, now - 20 * 86_400_000);
    set(&relay, &format!("UPDATE instagram_connections SET token_expires_at = {ends}, token_check_at = {ends}, connected_at = {connected}")).await?;
    relay.rest.post("check", json!({})).await?;
    // The agent fails, and Graph for the account.
    for key in [
        BreakerKey::AgentOf(AgentId::parse(AGENT)?),
        BreakerKey::GraphAccount(InstagramAccountId::parse(ACCOUNT)?),
    ] {
        relay.store.open_breaker(&key, Duration::from_mins(5), "transient").await?;
    }
    // A budget is used up.
    let until_ms = now + 600_000;
    set(&relay, &format!("INSERT INTO turn_holds (key, until) VALUES ('subaccount:{SUBACCOUNT}', {until_ms}), ('all', {until_ms})")).await?;
    let found = until("all incidents", WITHIN, async || {
        let found = kinds().await?;
        Ok((found.len() >= 6).then_some(found))
    })
    .await?;
    let words: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        words,
        ["budget_reached", "check_failing", "circuit_open", "circuit_open", "silence", "token_ending"],
        "{found:?}"
    );
    assert!(found[1].1.contains("Allow access to messages"), "{found:?}");
    assert!(
        found[2].1.contains("Meta for @acme") && found[3].1.contains("the agent agent_acme"),
        "{found:?}"
    );
    // What concerns the installation is the operator's.
    let of_all = IncidentFilter {
        owner: Some(Owner::Operator),
        kind: None,
        is_over: None,
        before: None,
        limit: 10,
        skip: 0,
    };
    let of_all = relay.store.incident_page(&of_all).await?;
    assert_eq!(of_all.items.len(), 1, "{:?}", of_all.items);
    relay.end().await?;
    // A message that is refused for good.
    let relay = Relay::connected(backend, |_| {}).await?;
    relay.simulator.add_fault(Fault::graph(Operation::Send, FaultMode::GraphError).code(551, None));
    relay.simulator.say(ACCOUNT, USER, "hello");
    let found =
        until("the dead letter", WITHIN, async || Ok(items(&relay, "incidents").await?.pop())).await?;
    assert_eq!(
        (&found["kind"], &found["message"]),
        (&json!("dead_letters"), &json!("1 message or event has failed for @acme."))
    );
    // Once somebody has dealt with it, it is over.
    let letter = relay.rest.get("dead-letters").await?.json["items"][0]["deadLetterId"].clone();
    let discard = format!("dead-letters/{}/discard", letter.as_str().context("no id")?);
    assert!(relay.rest.post(&discard, json!({})).await?.status < 300);
    until("it is over", WITHIN, async || Ok(items(&relay, "incidents?state=resolved").await?.pop())).await?;
    relay.end().await
}

async fn what_comes_and_goes_is_one_incident(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, |settings| {
        settings.worker.incidents.incident_after = Duration::from_secs(1);
        settings.worker.incidents.incident_clear_after = Duration::from_secs(3);
    })
    .await?;
    let receiver = Receiver::start().await?;
    add(&relay, json!({"url": receiver.url("/hook")})).await?;
    let breaker = BreakerKey::GraphAccount(InstagramAccountId::parse(ACCOUNT)?);
    let (open, close) = (
        async || relay.store.open_breaker(&breaker, Duration::from_mins(1), "throttled").await,
        async || relay.store.reset_breaker(&breaker).await,
    );
    // What is over in a moment is told to nobody.
    open().await?;
    until("it is seen", WITHIN, async || Ok(items(&relay, "incidents").await?.pop())).await?;
    close().await?;
    until("it is forgotten", WITHIN, async || Ok(items(&relay, "incidents").await?.is_empty().then_some(())))
        .await?;
    assert_eq!(receiver.received().len(), 0);
    // It opens, closes for a moment, and opens again.
    open().await?;
    let came = received(&receiver, "/hook", 1).await?;
    close().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    open().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    close().await?;
    let came_then = received(&receiver, "/hook", 2).await?;
    assert_eq!(types(&came_then), ["incident.opened", "incident.resolved"]);
    assert_eq!(came_then[0].raw, came[0].raw);
    relay.end().await
}
