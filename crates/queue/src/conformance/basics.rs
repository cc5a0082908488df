//! Single jobs, few jobs, duplicate jobs.

use super::{
    Backend, QUEUE, accepted, counter, job, lanes,
    probe::{Probe, Runner},
    until,
};
use crate::{Job, QueueName};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// A pushed job runs once, as it was pushed; a job for another queue does not run.
pub async fn a_pushed_job_runs_once(backend: &dyn Backend) {
    let queue = backend.queue(false);
    queue.ping().await.expect("the queue is there");
    let other = Job { queue: QueueName::Ingest, ..job() };
    accepted(&*queue, other.clone()).await;
    let job = job();
    accepted(&*queue, job.clone()).await;
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 1);

    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(4), &probe);
    until("it runs", async || probe.ended() == 1).await;
    runner.stop().await;
    assert_eq!((probe.runs_of(&job), probe.runs_of(&other)), (1, 0));
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 0);
    assert_eq!(queue.depth(QueueName::Ingest).await.expect("the depth is known"), 1);
    assert!(counter(backend, "dmrelay_queue_pushes_total") >= 1.0);
}

/// Concurrent pushes with the same key are one job.
pub async fn a_key_pushed_by_many_runs_once(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let other_process = backend.queue(false);
    let (same, last) = (job(), job());
    let pushes = (0..100).map(|n| {
        let queue = if n % 2 == 0 { &queue } else { &other_process };
        accepted(&**queue, same.clone())
    });
    futures::future::join_all(pushes).await;
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 1);

    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(4), &probe);
    until("it runs", async || probe.runs_of(&same) == 1).await;
    // The key is still known after the job is done.
    accepted(&*queue, same.clone()).await;
    accepted(&*queue, last.clone()).await;
    until("the next one runs", async || probe.runs_of(&last) == 1).await;
    runner.stop().await;
    assert_eq!(probe.runs_of(&same), 1);
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 0);
}

/// A panic affects only its own job.
pub async fn a_panic_does_not_stop_the_lane(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let jobs: Vec<Job> = (0..20).map(|_| job()).collect();
    let bad: HashSet<_> = jobs.iter().step_by(4).map(|job| job.id).collect();
    let panics = bad.len();
    let probe = Probe::panicking_on(bad);
    // One slot: a panic that kept it would stop the lane.
    let runner = Runner::start(&queue, lanes(1), &probe);
    for job in &jobs {
        accepted(&*queue, job.clone()).await;
    }
    until("all have run", async || probe.ended() == jobs.len() - panics && probe.seen() == jobs.len()).await;
    runner.stop().await;
    assert_eq!(probe.starts(), jobs.len(), "none runs again");
    let counted = counter(backend, "dmrelay_job_panics_total");
    assert!((counted - f64::from(u32::try_from(panics).expect("few"))).abs() < f64::EPSILON);
}

/// Concurrency reaches the limit and never exceeds it.
pub async fn concurrency_is_reached_and_not_exceeded(backend: &dyn Backend) {
    const AT_ONCE: usize = 7;
    const JOBS: usize = 30;
    let queue = backend.queue(false);
    let probe = Probe::shut();
    let runner = Runner::start(&queue, lanes(AT_ONCE), &probe);
    for _ in 0..JOBS {
        accepted(&*queue, job()).await;
    }
    until("all slots are taken", async || probe.running() == AT_ONCE).await;
    for done in 1..=JOBS {
        probe.let_end(1);
        let left = JOBS - done;
        until("one has ended, and its slot is taken again", async || {
            probe.ended() == done && probe.running() == left.min(AT_ONCE)
        })
        .await;
    }
    runner.stop().await;
    assert_eq!((probe.most(), probe.starts()), (AT_ONCE, JOBS));
}

/// After a pause of any length the next job is picked up soon: no wake-up is lost.
pub async fn a_job_after_a_pause_is_picked_up_soon(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(3), &probe);
    let mut took = Vec::new();
    let mut dice: u64 = 0x5eed;
    for n in 1..=150 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_micros(dice >> 48)).await;
        let pushed = Instant::now();
        accepted(&*queue, job()).await;
        until("it is picked up", async || probe.ended() == n).await;
        took.push(pushed.elapsed());
    }
    runner.stop().await;
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("picked up after {median:?} in the median, {worst:?} at worst");
    assert!(worst < Duration::from_secs(2), "worst: {worst:?}");
    assert!(median < Duration::from_millis(100), "median: {median:?}");
}
