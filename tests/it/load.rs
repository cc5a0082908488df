//! Many users at once while processes die: each message is answered exactly once, in order.

use anyhow::{Result, ensure};
use dmrelay_domain::event;
use dmrelay_simulator::{AgentRule, Batch, BatchMessage};
use dmrelay_store::NewEvent;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, AGENT, text_webhook};
use dmrelay_tests::wait;
use std::time::{Duration, Instant};

const USERS: usize = 100;
const EACH: usize = 20;

/// Deadline of the whole test.
const DEADLINE: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_while_workers_are_killed() -> Result<()> {
    let mut cluster = prepared().await?;
    let mut workers = [cluster.worker()?, cluster.worker()?];
    let mut kills = 0;
    let started = Instant::now();
    for round in 0..EACH {
        say(&cluster, round);
        let next = Instant::now() + Duration::from_millis(700);
        tokio::time::sleep_until(next.into()).await;
        if round % 3 == 2 {
            let victim = &mut workers[kills % 2];
            victim.kill()?;
            *victim = cluster.worker()?;
            kills += 1;
        }
    }
    while !answered(&cluster) {
        ensure!(started.elapsed() < DEADLINE, "{}", missing(&cluster));
        workers[kills % 2].kill()?;
        workers[kills % 2] = cluster.worker()?;
        kills += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if started.elapsed() > DEADLINE / 2 {
            break;
        }
    }
    settle(&cluster, started).await?;
    ensure!(kills >= 6, "only {kills} kills");
    check(&cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_answered_once_through_a_flush_of_redis() -> Result<()> {
    let mut cluster = prepared().await?;
    let _workers = [cluster.worker()?, cluster.worker()?];
    let started = Instant::now();
    for round in 0..EACH {
        say(&cluster, round);
        tokio::time::sleep(Duration::from_millis(300)).await;
        match round {
            5 | 11 => cluster.redis.flush()?,
            8 => cluster.redis.restart()?,
            _ => {}
        }
    }
    settle(&cluster, started).await?;
    check(&cluster)
}

on_both_backends!(twenty_thousand_due_events_are_dispatched);

/// More work is due in the database than a queue may hold, and no wake-up was ever pushed for any of it.
async fn twenty_thousand_due_events_are_dispatched(backend: Backend) -> Result<()> {
    const DUE: usize = 20_000;
    let relay = Relay::start(backend, |_| {}).await?;
    for thousand in 0..DUE / 1_000 {
        let events = (0..1_000).flat_map(|n| {
            let user = format!("3{thousand:02}{n:03}");
            let body = text_webhook(ACCOUNT, &user, &format!("mid-{user}"), "x");
            event::parse(&body, 1).events.into_iter().map(NewEvent::new).collect::<Vec<_>>()
        });
        for batch in events.collect::<Vec<_>>().chunks(500) {
            relay.store.insert_events(batch.to_vec()).await?;
        }
    }
    wait::until("every event is ingested", DEADLINE, async || {
        Ok((relay.store.count_events("unrouted").await? == i64::try_from(DUE)?).then_some(()))
    })
    .await?;
    relay.end().await
}

async fn prepared() -> Result<Cluster> {
    let cluster = Cluster::start(&[("RUST_LOG", "warn")]).await?;
    cluster.simulator.configure(|settings| settings.webhooks.duplicate_probability = 0.1);
    cluster.simulator.put_agent(AGENT, AgentRule { latency_ms: 20, ..AgentRule::default() });
    Ok(cluster)
}

fn user(n: usize) -> String {
    format!("2000000000{n:05}")
}

/// Every user writes once.
fn say(cluster: &Cluster, round: usize) {
    let message =
        |n| BatchMessage { account: ACCOUNT.to_owned(), user: user(n), text: format!("u{n:03} m{round:02}") };
    cluster.simulator.say_all(Batch { messages: (0..USERS).map(message).collect(), updates_per_post: 1 });
}

/// The lines each user's replies answer, in the order they were sent. Several messages may have been asked,
/// and so answered, together.
/// asked, and so answered, together.
fn answers(cluster: &Cluster, n: usize) -> Vec<String> {
    let user = user(n);
    cluster.simulator.record(|record| {
        let texts = record.sends_to(ACCOUNT, &user).filter_map(|sent| sent.text.clone());
        texts
            .flat_map(|text| {
                text.trim_start_matches("Answer to: ").lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    })
}

fn answered(cluster: &Cluster) -> bool {
    let count: usize = (0..USERS).map(|n| answers(cluster, n).len()).sum();
    count >= USERS * EACH && cluster.simulator.record(dmrelay_simulator::Record::webhooks_idle)
}

async fn settle(cluster: &Cluster, started: Instant) -> Result<()> {
    while !answered(cluster) {
        ensure!(started.elapsed() < DEADLINE, "not answered in {DEADLINE:?}: {}", missing(cluster));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A duplicate would have been sent by now, or would be by the next tick of the poller.
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(())
}

fn missing(cluster: &Cluster) -> String {
    let lacking = (0..USERS).map(|n| (n, answers(cluster, n).len())).filter(|(_, count)| *count != EACH);
    format!("{:?}", lacking.collect::<Vec<_>>())
}

fn check(cluster: &Cluster) -> Result<()> {
    for n in 0..USERS {
        let expected: Vec<String> = (0..EACH).map(|round| format!("u{n:03} m{round:02}")).collect();
        let got = answers(cluster, n);
        ensure!(got == expected, "user {n}: {got:?}");
    }
    let (overlaps, completions) =
        cluster.simulator.record(|record| (record.overlaps, record.completions.len()));
    ensure!(overlaps == 0, "{overlaps} questions overlapped");
    println!("{} messages, {completions} questions, no overlap", USERS * EACH);
    Ok(())
}
