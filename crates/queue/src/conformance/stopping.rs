//! How a run ends, and what the next run finds.

use super::{
    Backend, DEADLINE, QUEUE, accepted, job, lanes,
    probe::{Probe, Runner},
    until,
};
use crate::Job;
use std::time::Duration;
use tokio::time::Instant;

/// Started jobs finish; the others wait for the next run, which runs only those.
pub async fn a_stop_lets_started_jobs_end_and_keeps_the_others(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let jobs: Vec<Job> = (0..6).map(|_| job()).collect();
    let probe = Probe::shut();
    let runner = Runner::start(&queue, lanes(2), &probe);
    for job in &jobs {
        accepted(&*queue, job.clone()).await;
    }
    until("two have begun", async || probe.running() == 2).await;
    runner.ask_to_stop();
    probe.let_end(1);
    until("one has ended", async || probe.ended() == 1).await;
    // The pause is the test: a slot is free, but no job may take it any more.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((probe.starts(), runner.has_ended()), (2, false));
    probe.let_end(1);
    runner.stop().await;
    assert_eq!((probe.ended(), probe.starts()), (2, 2));
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 4);

    let next = Probe::open();
    let runner = Runner::start(&queue, lanes(2), &next);
    until("the others have run", async || next.ended() == 4).await;
    runner.stop().await;
    for job in &jobs {
        assert_eq!(probe.runs_of(job) + next.runs_of(job), 1);
    }
}

/// A job that exceeds the grace period is aborted, and runs again in the next run.
pub async fn a_job_that_outlasts_the_grace_runs_again(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let job = job();
    accepted(&*queue, job.clone()).await;
    let probe = Probe::shut();
    let runner = Runner::with_grace(&queue, lanes(2), &probe, Duration::from_millis(300));
    until("it has begun", async || probe.running() == 1).await;
    let asked = Instant::now();
    runner.stop().await;
    assert!(asked.elapsed() > Duration::from_millis(290), "it had its grace");
    assert!(asked.elapsed() < DEADLINE);
    assert_eq!((probe.running(), probe.ended()), (0, 0));

    let next = Probe::open();
    let runner = Runner::start(&queue, lanes(2), &next);
    until("it has run", async || next.runs_of(&job) == 1).await;
    runner.stop().await;
}

/// During a long shutdown other runners do not take over its jobs.
pub async fn a_slow_stop_keeps_its_jobs(backend: &dyn Backend) {
    let (one, two) = (backend.queue(true), backend.queue(true));
    let (slow, other) = (Probe::shut(), Probe::open());
    let held = job();
    let stopping = Runner::start(&one, lanes(2), &slow);
    accepted(&*one, held.clone()).await;
    until("it has begun", async || slow.running() == 1).await;
    stopping.ask_to_stop();
    let running = Runner::start(&two, lanes(2), &other);
    // The pause is the test: several times the period after which a silent worker counts as dead.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(other.runs_of(&held), 0);
    slow.let_end(1);
    stopping.stop().await;
    running.stop().await;
    assert_eq!((slow.runs_of(&held), other.runs_of(&held)), (1, 0));
}

/// A process dies in the middle of a job: the job runs again elsewhere.
pub async fn a_killed_runners_job_runs_elsewhere(backend: &dyn Backend) {
    let (one, two) = (backend.queue(true), backend.queue(true));
    let (dying, heir) = (Probe::shut(), Probe::open());
    let jobs: Vec<Job> = (0..5).map(|_| job()).collect();
    for job in &jobs {
        accepted(&*one, job.clone()).await;
    }
    let runner = Runner::start(&one, lanes(3), &dying);
    until("three have begun", async || dying.running() == 3).await;
    runner.abort().await;
    until("its jobs are dropped with it", async || dying.running() == 0).await;
    let runner = Runner::start(&two, lanes(3), &heir);
    until("all have run", async || heir.seen() == jobs.len()).await;
    runner.stop().await;
}

/// Stopped and restarted repeatedly without a pause, a run always works.
pub async fn a_run_can_follow_a_run_at_once(backend: &dyn Backend) {
    let queue = backend.queue(false);
    for _ in 0..5 {
        let probe = Probe::open();
        let runner = Runner::start(&queue, lanes(2), &probe);
        accepted(&*queue, job()).await;
        until("it runs", async || probe.ended() == 1).await;
        runner.stop().await;
    }
}
