//! Lists of one tenant that take long.

use anyhow::Result;
use dmrelay_tests::cluster::Cluster;
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
