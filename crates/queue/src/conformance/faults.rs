//! Server faults. For backends with a server.

use super::{
    Backend, QUEUE, accepted, counter, job, lanes, offer,
    probe::{Probe, Runner},
    server, until,
};
use crate::{Job, JobQueue, QueueError};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Maximum duration of a failing push: the default, plus slack for a busy machine.
const FAST: Duration = Duration::from_millis(1_500);

/// Entries no worker can process are dropped; jobs behind them run.
pub async fn poison_does_not_stop_the_lane(backend: &dyn Backend) {
    let queue = backend.queue(true);
    let probe = Probe::open();
    let poisons = server(backend).poison(QUEUE).await;
    let runner = Runner::start(&queue, lanes(4), &probe);
    let jobs: Vec<Job> = (0..50).map(|_| job()).collect();
    for job in &jobs {
        offer(&*queue, job).await;
    }
    until("all have run", async || jobs.iter().all(|job| probe.runs_of(job) > 0)).await;
    println!("{} restarts", counter(backend, "dmrelay_queue_restarts_total"));
    let poisons = f64::from(u32::try_from(poisons).expect("few"));
    until("the poison is gone", async || counter(backend, "dmrelay_jobs_dropped_total") >= poisons).await;
    until("nothing of it is left", async || server(backend).leftovers(QUEUE).await == 0).await;
    until("nothing waits", async || queue.depth(QUEUE).await.is_ok_and(|depth| depth == 0)).await;
    // Checks that the queue works normally again.
    let restarts = counter(backend, "dmrelay_queue_restarts_total");
    let last = job();
    accepted(&*queue, last.clone()).await;
    until("the next one runs", async || probe.runs_of(&last) == 1).await;
    assert!((counter(backend, "dmrelay_queue_restarts_total") - restarts).abs() < f64::EPSILON);
    runner.stop().await;
}

/// Flushed repeatedly under load: the lanes continue, and jobs pushed later run.
pub async fn a_flushed_server_does_not_stop_the_lanes(backend: &dyn Backend) {
    under_load(backend, async || {
        for _ in 0..5 {
            server(backend).flush().await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    })
    .await;
}

/// The same with a server that is killed and restarted empty under load.
pub async fn a_restarted_server_does_not_stop_the_lanes(backend: &dyn Backend) {
    under_load(backend, async || {
        for _ in 0..3 {
            server(backend).kill().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            server(backend).restart().await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
}

async fn under_load(backend: &dyn Backend, fault: impl AsyncFn()) {
    let queue = backend.queue(false);
    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(4), &probe);
    let first = job();
    accepted(&*queue, first.clone()).await;
    until("it works", async || probe.runs_of(&first) == 1).await;

    let enough = CancellationToken::new();
    let load = tokio::spawn(keep_pushing(queue.clone(), enough.clone()));
    fault().await;
    enough.cancel();
    let pushed = load.await.expect("pushing does not panic");

    let began = Instant::now();
    let later: Vec<Job> = (0..100).map(|_| job()).collect();
    for job in &later {
        offer(&*queue, job).await;
    }
    until("what was pushed later has run", async || later.iter().all(|job| probe.runs_of(job) > 0)).await;
    println!("{pushed} pushed under way; as new after {:?}", began.elapsed());
    runner.stop().await;
}

/// Pushes as fast as possible, ignoring failures.
async fn keep_pushing(queue: Arc<dyn JobQueue>, enough: CancellationToken) -> usize {
    let mut pushed = 0;
    while !enough.is_cancelled() {
        match queue.push(job()).await {
            Ok(_) => pushed += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        tokio::task::yield_now().await;
    }
    pushed
}

/// Without a server pushes fail fast, and work again when it is back. It need not have been up at the start.
pub async fn a_missing_server_fails_pushes_fast(backend: &dyn Backend) {
    server(backend).kill().await;
    let queue = backend.queue(false);
    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(2), &probe);
    for _ in 0..2 {
        for _ in 0..20 {
            let began = Instant::now();
            let pushed = queue.push(job()).await;
            assert!(matches!(pushed, Err(QueueError::Unavailable(_))), "{pushed:?}");
            assert!(began.elapsed() < FAST, "after {:?}", began.elapsed());
        }
        assert!(queue.ping().await.is_err());
        assert!(queue.depth(QUEUE).await.is_err());
        server(backend).restart().await;
        let back = Instant::now();
        let next = job();
        offer(&*queue, &next).await;
        until("it runs", async || probe.runs_of(&next) == 1).await;
        println!("a job ran {:?} after the server was back", back.elapsed());
        server(backend).kill().await;
    }
    runner.stop().await;
}

/// Running jobs finish when the server goes away, and keep their slots until then.
pub async fn running_jobs_outlive_the_server(backend: &dyn Backend) {
    let queue = backend.queue(true);
    let probe = Probe::shut();
    let runner = Runner::start(&queue, lanes(3), &probe);
    for _ in 0..3 {
        accepted(&*queue, job()).await;
    }
    until("all slots are taken", async || probe.running() == 3).await;
    server(backend).kill().await;
    until("its loss is noticed", async || queue.ping().await.is_err()).await;
    until("the worker has ended", async || counter(backend, "dmrelay_queue_restarts_total") > 0.0).await;
    server(backend).restart().await;
    let later = job();
    offer(&*queue, &later).await;
    // The pause is the test: a lane that had lost track of its jobs would start this one.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((probe.running(), probe.runs_of(&later)), (3, 0));
    probe.let_end(4);
    until("all have ended", async || probe.ended() == 4).await;
    runner.stop().await;
    assert_eq!((probe.most(), probe.starts()), (3, 4));
}
