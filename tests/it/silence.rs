//! A database host that vanishes without a reset, while its successor responds at the same address: nothing
//! waits for the old one indefinitely.

use anyhow::{Context, Result};
use dmrelay_domain::conversation::{Command, Pause, Policy, TakeOver};
use dmrelay_domain::event;
use dmrelay_domain::ids::{ChatId, WorkerId};
use dmrelay_store::{Batcher, BatcherOptions, InboxOptions, InboxWriter, NewEvent, Options, Store};
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::database::connect;
use dmrelay_tests::postgres::PostgresServer;
use dmrelay_tests::proxy::Proxy;
use dmrelay_tests::relay::open_store;
use dmrelay_tests::rest::{ACCOUNT, Rest, text_webhook};
use dmrelay_tests::{seed, wait};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The limits in the database settings, and how long recovery may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(15);

const LEASE: Duration = Duration::from_secs(30);

/// A store that reaches its database through a proxy.
struct Silent {
    store: Store,
    proxy: Proxy,
    chat: ChatId,
    _postgres: PostgresServer,
}

async fn silent() -> Result<Silent> {
    let postgres = PostgresServer::start()?;
    let direct = open_store(&postgres.url()).await?;
    let connection = connect(&direct, "acme", "1").await?;
    let chat = seed::chat(&direct, connection.id, "7").await?.id;
    let proxy = Proxy::start(postgres.address()).await?;
    let options = Options {
        url: format!("postgres://postgres@{}/postgres", proxy.address()),
        max_connections: 8,
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(500),
    };
    Ok(Silent { store: Store::open(&options).await?, proxy, chat, _postgres: postgres })
}

/// Warms up what `attempt` uses, lets the host vanish, and waits until `attempt` succeeds again.
async fn gets_through<T>(base: &Silent, what: &str, attempt: impl AsyncFn() -> Result<T>) -> Result<()> {
    // Several at a time, so that several connections are left behind.
    for outcome in futures::future::join_all((0..3).map(|_| attempt())).await {
        outcome.with_context(|| format!("{what}, before"))?;
    }
    base.proxy.vanish();
    wait::until(what, DEADLINE, async || {
        // Long enough for any timeout to pass, short enough to detect a wait without one.
        let within = tokio::time::timeout(Duration::from_secs(6), attempt()).await;
        let outcome = within.with_context(|| format!("{what} waits without end"))?;
        Ok(outcome.ok().map(|_| ()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_waits_for_a_vanished_database() -> Result<()> {
    let base = silent().await?;
    let Silent { store, chat, .. } = &base;
    gets_through(&base, "a read", async || Ok(store.now().await?)).await?;
    let worker = WorkerId::new();
    gets_through(&base, "a mark", async || Ok(store.heartbeat(&seed::process(worker), LEASE).await?)).await?;
    let batcher = Batcher::start(store, Policy::default(), BatcherOptions::default());
    let take_over = || Command::TakeOver(TakeOver { actor: "anna".into(), pause: Pause::Usual });
    gets_through(&base, "a command", async || Ok(batcher.apply(*chat, take_over()).await?)).await?;
    gets_through(&base, "a transaction", async || Ok(store.begin().await?.commit().await?)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_webhook_waits_for_a_vanished_database() -> Result<()> {
    let base = silent().await?;
    let shutdown = CancellationToken::new();
    let options = InboxOptions { pause: Duration::from_millis(50), ..InboxOptions::default() };
    let inbox = InboxWriter::start(base.store.clone(), options, Arc::new(|_| {}), &shutdown);
    gets_through(&base, "a webhook", async || {
        let webhook = text_webhook("1", "7", &uuid::Uuid::new_v4().to_string(), "hello");
        let events = event::parse(&webhook, 0).events.into_iter().map(NewEvent::new).collect();
        Ok(inbox.store(events).await?)
    })
    .await
}

/// Whoever cancels a statement leaves its connection waiting: a pool full of those is noticed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_statements_do_not_hide_a_database_that_is_gone() -> Result<()> {
    let base = silent().await?;
    let all = || futures::future::join_all((0..16).map(|_| base.store.now()));
    for now in all().await {
        now?;
    }
    base.proxy.vanish();
    assert!(tokio::time::timeout(Duration::from_millis(200), all()).await.is_err());
    wait::until("a statement that gets through", DEADLINE, async || Ok(base.store.now().await.ok())).await?;
    Ok(())
}

/// It is unknown whether it was committed, but no one waits either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_waits_for_a_vanished_database() -> Result<()> {
    let base = silent().await?;
    let tx = base.store.begin().await?;
    base.proxy.vanish();
    assert!(tokio::time::timeout(DEADLINE, tx.commit()).await?.is_err());
    base.store.now().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vanished_database_costs_time_and_no_message() -> Result<()> {
    let limits = [("DATABASE_STATEMENT_TIMEOUT", "1s"), ("DATABASE_ACQUIRE_TIMEOUT", "1s")];
    let mut cluster = Cluster::start(&limits).await?;
    let proxy = Proxy::start(cluster.postgres.address()).await?;
    cluster.use_database(&format!("postgres://postgres@{}/postgres", proxy.address()));
    cluster.api.kill()?;
    cluster.restart_api().await?;
    let (mut worker, port) = cluster.watched_worker()?;
    let watched = Rest::new(SocketAddr::from(([127, 0, 0, 1], port.number)))?;
    let ready = async |rest: &Rest, wanted: u16| {
        let what = format!("{wanted} of /readyz");
        wait::until(&what, Duration::from_secs(20), async || {
            let answer = rest.request("GET", "/readyz", None, &[]).await;
            Ok(answer.ok().filter(|answer| answer.status == wanted).map(|_| ()))
        })
        .await
    };
    ready(&watched, 200).await?;
    let user = "200000000000001";
    for (count, text) in [(1, "before"), (2, "while silent"), (3, "after")] {
        cluster.simulator.say(ACCOUNT, user, text);
        cluster
            .simulator
            .wait_for(text, Duration::from_secs(40), |record| record.sends_to(ACCOUNT, user).count() >= count)
            .await
            .with_context(|| format!("{}\n{}", cluster.api.output(), worker.output()))?;
        if count == 1 {
            proxy.vanish();
            // The process reports it: a new connection would work.
            ready(&cluster.rest, 503).await?;
        }
    }
    tokio::try_join!(ready(&cluster.rest, 200), ready(&watched, 200))?;
    assert!(worker.runs()?, "{}", worker.output());
    assert_eq!(cluster.simulator.record(|record| (record.completion_count, record.send_count)), (3, 3));
    Ok(())
}
