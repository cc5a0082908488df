//! The canary tells whether a message is answered, and leaves nothing behind that somebody would have to look at.

use anyhow::{Context, Result, ensure};
use dmrelay_simulator::{Fault, FaultMode, Operation};
use dmrelay_store::entity::dead_letter;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::ACCOUNT;
use dmrelay_tests::settings::Settings;
use dmrelay_tests::wait;
use sea_orm::{EntityTrait, PaginatorTrait};
use std::time::Duration;

on_both_backends!(
    a_canary_is_answered_and_its_outage_is_seen,
    a_canary_whose_customer_has_not_written_for_a_day_has_passed_everything_else,
    a_canary_of_no_connected_account_says_so,
);

const USER: &str = "200000000000001";
const DEADLINE: Duration = Duration::from_secs(20);

fn with_canary(settings: &mut Settings) {
    let canary = &mut settings.api.canary;
    (canary.canary_account, canary.canary_user) = (Some(ACCOUNT.to_owned()), Some(USER.to_owned()));
    (canary.canary_interval, canary.canary_timeout) = (Duration::from_millis(700), Duration::from_secs(2));
}

fn is_ok(relay: &Relay) -> i64 {
    relay.metrics.canary_ok.with_label_values(&[ACCOUNT]).get()
}

fn runs(relay: &Relay, result: &str) -> u64 {
    relay.metrics.canary_runs.with_label_values(&[result]).get()
}

/// Waits until so many runs have ended so since now.
async fn ended(relay: &Relay, result: &str, more: u64) -> Result<()> {
    let before = runs(relay, result);
    wait::until(&format!("a canary that is {result}"), DEADLINE, async || {
        Ok((runs(relay, result) >= before + more).then_some(()))
    })
    .await
}

async fn a_canary_is_answered_and_its_outage_is_seen(backend: Backend) -> Result<()> {
    let relay = Relay::connected(backend, with_canary).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    ended(&relay, "answered", 1).await?;
    ensure!(is_ok(&relay) == 1 && relay.sent(USER).contains(&"Answer to: ping".to_owned()));
    let seconds = relay.metrics.canary_seconds.with_label_values(&[ACCOUNT]).get();
    ensure!(seconds > 0.0 && seconds < 2.5, "{seconds}");
    let fault = Fault::retell(Operation::Completion, FaultMode::Before).status(500).times(0);
    let fault = relay.simulator.add_fault(fault);
    ended(&relay, "late", 1).await?;
    assert_eq!(is_ok(&relay), 0);
    relay.simulator.clear_faults(Some(fault));
    for breaker in relay.store.open_breaker_rows().await? {
        let key = dmrelay_store::BreakerKey::parse(&breaker.key).ok().context("a breaker")?;
        relay.store.reset_breaker(&key).await?;
    }
    ended(&relay, "answered", 1).await?;
    assert_eq!(is_ok(&relay), 1);
    relay.end().await
}

async fn a_canary_whose_customer_has_not_written_for_a_day_has_passed_everything_else(
    backend: Backend,
) -> Result<()> {
    let relay = Relay::connected(backend, with_canary).await?;
    relay.simulator.say(ACCOUNT, USER, "hello");
    ended(&relay, "answered", 1).await?;
    relay.simulator.advance(Duration::from_hours(25));
    ended(&relay, "window_closed", 2).await?;
    assert_eq!(is_ok(&relay), 1);
    let letters = dead_letter::Entity::find().all(relay.store.connection()).await?;
    let open = letters.iter().filter(|letter| letter.discarded_at.is_none()).count();
    ensure!(letters.len() >= 2 && open <= 1, "{letters:?}");
    relay.end().await
}

async fn a_canary_of_no_connected_account_says_so(backend: Backend) -> Result<()> {
    let relay = Relay::start(backend, with_canary).await?;
    ended(&relay, "not_connected", 1).await?;
    assert_eq!(is_ok(&relay), 0);
    assert_eq!(dead_letter::Entity::find().count(relay.store.connection()).await?, 0);
    relay.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_needs_a_customer_and_a_secret() -> Result<()> {
    let cluster = Cluster::unconnected(&[]).await?;
    for (settings, says) in [
        (&[("CANARY_ACCOUNT", ACCOUNT)][..], "CANARY_USER"),
        (&[("CANARY_ACCOUNT", "my_shop"), ("CANARY_USER", USER)], "CANARY_ACCOUNT"),
        (
            &[("CANARY_ACCOUNT", ACCOUNT), ("CANARY_USER", USER), ("META_APP_SECRETS", "")],
            "META_APP_SECRETS is needed",
        ),
    ] {
        let (success, output) = cluster.run("dmrelay-api", &[], settings).await?;
        ensure!(!success && output.contains(says), "{says}: {output}");
    }
    Ok(())
}
