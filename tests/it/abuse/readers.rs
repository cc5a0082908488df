//! Lists of one tenant that take long.

use anyhow::Result;
use dmrelay_tests::cluster::Cluster;
use dmrelay_tests::relay::{Backend, Relay};
use dmrelay_tests::rest::{ACCOUNT, APP_SECRET, text_webhook};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tenants_slow_lists_keep_no_connection_from_another() -> Result<()> {
    let settings = [("READERS_PER_SUBACCOUNT", "2"), ("SEARCH_TIMEOUT", "1s")];
    let cluster = Cluster::start(&settings).await?;
    // Whoever reads messages waits.
    let postgres = &cluster.postgres;
    let lock = "BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(6); COMMIT";
    std::thread::scope(|scope| -> Result<()> {
        let locked = scope.spawn(|| postgres.execute(lock));
        let lists = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let began = Instant::now();
                let lists = (0..12).map(|_| cluster.rest.get("messages?q=x"));
                let (lists, other) = futures::future::join(futures::future::join_all(lists), async {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    let activities = cluster.rest.request("GET", "/api/database/other/activities", None, &[]);
                    (activities.await, began.elapsed())
                })
                .await;
                anyhow::Ok((lists, other))
            })
        })?;
        let (lists, (other, took)) = lists;
        // Another tenant's list is read at once: there are connections left.
        assert_eq!(other?.status, 200);
        assert!(took < Duration::from_secs(3), "{took:?}");
        let statuses: Vec<u16> =
            lists.into_iter().map(|list| list.map(|list| list.status)).collect::<Result<_>>()?;
        // Each is given up after a second, and those that wait for longer than two are refused.
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert!(count(422) >= 2 && count(429) >= 2 && count(422) + count(429) == 12, "{statuses:?}");
        locked.join().unwrap_or_else(|_| anyhow::bail!("the lock was not held"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_whose_callers_hang_up_keep_their_permits() -> Result<()> {
    let cluster = Cluster::start(&[("SEARCH_TIMEOUT", "2s")]).await?;
    let lock = "BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT";
    std::thread::scope(|scope| -> Result<()> {
        let locked = scope.spawn(|| cluster.postgres.execute(lock));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                // Thirty searches whose callers do not wait. PostgreSQL goes on with what it has begun.
                for _ in 0..30 {
                    let search = cluster.rest.get("messages?q=x");
                    let _ = tokio::time::timeout(Duration::from_millis(30), search).await;
                }
                let began = Instant::now();
                let webhook = text_webhook(ACCOUNT, "7", "m-1", "hello");
                let stored = cluster.rest.webhook("/webhooks/instagram", &webhook, APP_SECRET).await?;
                let other = cluster.rest.request("GET", "/api/database/other/activities", None, &[]).await?;
                anyhow::ensure!(
                    (stored.status, other.status) == (200, 200),
                    "{} {}",
                    stored.text,
                    other.text
                );
                anyhow::ensure!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
                anyhow::Ok(())
            })
        })?;
        locked.join().unwrap_or_else(|_| anyhow::bail!("the lock was not held"))
    })?;
    // What was not waited for is in the log, with its caller.
    let gone = cluster.api.output();
    let gone = gone.lines().find(|line| line.contains("status=499")).unwrap_or_default();
    assert!(gone.contains("principal=\"bootstrap\"") && gone.contains("subaccount=\"acme\""), "{gone:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_keeps_sqlites_lock_for_writing_free() -> Result<()> {
    let relay = Relay::connected(Backend::Embedded, |_| {}).await?;
    let tx = relay.store.begin().await?;
    // While somebody writes, a search reads.
    let searched = tokio::time::timeout(Duration::from_secs(2), relay.rest.get("messages?q=x")).await??;
    assert_eq!(searched.status, 200, "{}", searched.text);
    drop(tx);
    relay.end().await
}
