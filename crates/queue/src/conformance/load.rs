//! Large numbers of jobs.

use super::{
    Backend, DEADLINE, MAX_WAITING, QUEUE, accepted, job, lanes, offer,
    probe::{Probe, Runner},
    until,
};
use crate::{Job, Pushed};
use tokio::time::Instant;

/// The 2,001st job is rejected; when the others have run, there is room again.
pub async fn a_full_queue_refuses_until_it_has_drained(backend: &dyn Backend) {
    let queue = backend.queue(false);
    for _ in 0..MAX_WAITING {
        accepted(&*queue, job()).await;
    }
    let refused = job();
    let pushed = queue.push(refused.clone()).await.expect("a full queue is no error");
    assert_eq!(pushed, Pushed::Full);
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), MAX_WAITING);

    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(16), &probe);
    offer(&*queue, &refused).await;
    until("all have run", async || probe.seen() as u64 == MAX_WAITING + 1).await;
    runner.stop().await;
    assert_eq!(probe.runs_of(&refused), 1);
}

/// Several processes with many pushers each stay near the limit, far from where apalis breaks.
pub async fn many_pushers_stay_near_the_limit(backend: &dyn Backend) {
    let processes = [backend.queue(false), backend.queue(false), backend.queue(false)];
    let pushers = processes.iter().flat_map(|queue| {
        (0..32).map(move |_| async move {
            for _ in 0..100 {
                // On a busy machine a push may time out, which does not matter here.
                let _ = queue.push(job()).await;
            }
        })
    });
    futures::future::join_all(pushers).await;
    until("it is full", async || matches!(processes[1].push(job()).await, Ok(Pushed::Full))).await;
    let depth = processes[0].depth(QUEUE).await.expect("the depth is known");
    assert!((MAX_WAITING..MAX_WAITING + 1_000).contains(&depth), "depth: {depth}");

    let probe = Probe::open();
    let runner = Runner::start(&processes[0], lanes(16), &probe);
    until("all have run", async || probe.seen() as u64 == depth).await;
    runner.stop().await;
}

/// Ten times the queue's capacity, retried while the queue is full: every job runs.
pub async fn twenty_thousand_all_run(backend: &dyn Backend) {
    const PUSHERS: usize = 8;
    let queue = backend.queue(false);
    let probe = Probe::open();
    let began = Instant::now();
    let runner = Runner::start(&queue, lanes(32), &probe);
    let jobs: Vec<Job> = (0..20_000).map(|_| job()).collect();
    let pushers = jobs.chunks(jobs.len() / PUSHERS).map(|chunk| {
        let queue = &queue;
        async move {
            for job in chunk {
                offer(&**queue, job).await;
            }
        }
    });
    futures::future::join_all(pushers).await;
    let pushed = began.elapsed();
    until("all have run", async || probe.seen() == jobs.len()).await;
    println!("pushed in {pushed:?}, all run after {:?}", began.elapsed());
    runner.stop().await;
    let again = probe.starts() - jobs.len();
    assert!(again == 0, "{again} ran again, though nothing failed");
    assert_eq!(queue.depth(QUEUE).await.expect("the depth is known"), 0);
}

/// Two processes share the work; no job runs twice.
pub async fn two_runners_share_the_work(backend: &dyn Backend) {
    const JOBS: usize = 600;
    let (one, two) = (backend.queue(false), backend.queue(false));
    // Closed, so that neither can do all the work before the other has begun.
    let (first, second) = (Probe::shut(), Probe::shut());
    let runners = [Runner::start(&one, lanes(4), &first), Runner::start(&two, lanes(4), &second)];
    let jobs: Vec<Job> = (0..JOBS).map(|_| job()).collect();
    for job in &jobs {
        accepted(&*one, job.clone()).await;
    }
    until("both have work", async || first.running() == 4 && second.running() == 4).await;
    first.let_end(JOBS);
    second.let_end(JOBS);
    until("all have run", async || first.ended() + second.ended() == JOBS).await;
    for runner in runners {
        runner.stop().await;
    }
    for job in &jobs {
        assert_eq!(first.runs_of(job) + second.runs_of(job), 1);
    }
}

/// The remains of finished jobs are removed. For backends with a server.
pub async fn finished_jobs_are_removed(backend: &dyn Backend) {
    let queue = backend.queue(false);
    let probe = Probe::open();
    let runner = Runner::start(&queue, lanes(8), &probe);
    for _ in 0..1_500 {
        offer(&*queue, &job()).await;
    }
    until("all have run", async || probe.seen() == 1_500).await;
    let began = Instant::now();
    until("all are removed", async || super::server(backend).leftovers(QUEUE).await == 0).await;
    assert!(began.elapsed() < DEADLINE);
    runner.stop().await;
}
