//! The queue's conformance suite, on both backends.

#![expect(clippy::unwrap_used, reason = "test code: the backends' methods cannot return errors")]

use anyhow::Result;
use async_trait::async_trait;
use dmrelay_queue::{
    Job, JobHandler, JobQueue, Lane, MemoryOptions, MemoryQueue, Pushed, QueueError, QueueMetrics, QueueName,
    RedisOptions, RedisQueue, Stop,
    conformance::{self, Backend, Server},
};
use dmrelay_tests::redis::RedisServer;
use futures::StreamExt;
use prometheus::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Inside one process there is a single queue.
struct Memory {
    queue: Arc<MemoryQueue>,
    registry: Registry,
}

impl Memory {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        let metrics = QueueMetrics::register(&registry)?;
        let queue = Arc::new(MemoryQueue::new(MemoryOptions::default(), metrics));
        Ok(Self { queue, registry })
    }
}

impl Backend for Memory {
    fn queue(&self, _hasty: bool) -> Arc<dyn JobQueue> {
        self.queue.clone()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// A separate server per case; every queue requested is another process.
struct Redis {
    server: RedisServer,
    registry: Registry,
    metrics: QueueMetrics,
}

impl Redis {
    fn new() -> Result<Self> {
        let registry = Registry::new();
        let metrics = QueueMetrics::register(&registry)?;
        Ok(Self { server: RedisServer::start()?, registry, metrics })
    }
}

impl Backend for Redis {
    fn queue(&self, hasty: bool) -> Arc<dyn JobQueue> {
        let mut options = RedisOptions::new(self.server.url());
        if hasty {
            options.heartbeat = Duration::from_secs(1);
            options.missed_heartbeats = 3;
        }
        Arc::new(RedisQueue::connect(options, self.metrics.clone()).unwrap())
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn server(&self) -> Option<&dyn Server> {
        Some(self)
    }
}

fn key(queue: QueueName, suffix: &str) -> String {
    format!("dmrelay:{}:{suffix}", queue.as_str())
}

#[async_trait]
impl Server for Redis {
    async fn flush(&self) {
        self.server.flush().unwrap();
    }

    async fn kill(&self) {
        self.server.kill().unwrap();
    }

    async fn restart(&self) {
        self.server.restart().unwrap();
    }

    async fn poison(&self, queue: QueueName) -> u64 {
        let mut pipe = redis::pipe();
        let mut poison = |id: &str, data: Option<&[u8]>, meta: &[(&str, &str)]| {
            pipe.rpush(key(queue, "active"), id);
            if let Some(data) = data {
                pipe.hset(key(queue, "data"), id, data);
            }
            if !meta.is_empty() {
                pipe.hset_multiple(key(queue, &format!("meta:{id}")), meta);
            }
        };
        let good = [("attempts", "0"), ("max_attempts", "25"), ("status", "Pending")];
        let odd = [("attempts", "many"), ("max_attempts", "25"), ("status", "Pending")];
        let strange = [("attempts", "0"), ("max_attempts", "25"), ("status", "Lost")];
        poison("not-json", Some(b"\xff\x00{"), &good);
        poison("another-json", Some(br#"{"id":7}"#), &good);
        poison("no-data-and-no-metadata", None, &[]);
        poison("no-data", None, &good);
        poison("no-metadata", Some(b"{}"), &[]);
        poison("odd-number", Some(b"{}"), &odd);
        poison("odd-status", Some(b"{}"), &strange);
        // apalis parses it as another number; the ack then names a job that does not exist.
        poison("00123", Some(b"{}"), &good);
        for n in 0..200 {
            poison(&format!("evicted-{n}"), None, &good);
        }
        pipe.set(key(queue, "meta:wrong-type"), "a string");
        pipe.rpush(key(queue, "active"), "wrong-type").hset(key(queue, "data"), "wrong-type", "{}");
        // More than apalis can move at once.
        for n in 0..9_000 {
            pipe.zadd(key(queue, "scheduled"), format!("too-many-{n}"), 1);
        }
        pipe.exec(&mut self.server.connection().unwrap()).unwrap();
        8 + 200 + 1 + 9_000
    }

    async fn leftovers(&self, queue: QueueName) -> u64 {
        let mut conn = self.server.connection().unwrap();
        let (data, done, meta): (u64, u64, Vec<String>) = redis::pipe()
            .hlen(key(queue, "data"))
            .scard(key(queue, "done"))
            .keys(key(queue, "meta:*"))
            .query(&mut conn)
            .unwrap();
        data + done + meta.len() as u64
    }
}

/// One test per case and backend.
macro_rules! cases {
    ($backend:ident in $module:ident: $($case:ident),+ $(,)?) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() -> anyhow::Result<()> {
                    super::conformance::$case(&super::$backend::new()?).await;
                    Ok(())
                }
            )+
        }
    };
}

macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        cases!(Memory in memory: $($case),+);
        cases!(Redis in redis_server: $($case),+);
    };
}

on_both!(
    a_pushed_job_runs_once,
    a_key_pushed_by_many_runs_once,
    a_panic_does_not_stop_the_lane,
    concurrency_is_reached_and_not_exceeded,
    a_job_after_a_pause_is_picked_up_soon,
    a_full_queue_refuses_until_it_has_drained,
    many_pushers_stay_near_the_limit,
    twenty_thousand_all_run,
    two_runners_share_the_work,
    a_stop_lets_started_jobs_end_and_keeps_the_others,
    a_job_that_outlasts_the_grace_runs_again,
    a_killed_runners_job_runs_elsewhere,
    a_run_can_follow_a_run_at_once,
);

cases!(Redis in redis_only:
    a_slow_stop_keeps_its_jobs,
    finished_jobs_are_removed,
    poison_does_not_stop_the_lane,
    a_flushed_server_does_not_stop_the_lanes,
    a_restarted_server_does_not_stop_the_lanes,
    a_missing_server_fails_pushes_fast,
    running_jobs_outlive_the_server,
);

#[test]
fn an_invalid_url_is_a_clear_error() -> Result<()> {
    let metrics = QueueMetrics::register(&Registry::new())?;
    let error = RedisQueue::connect(RedisOptions::new("redis//:hunter2@nowhere"), metrics).err().unwrap();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(matches!(error, QueueError::Address(_)));
    Ok(())
}

/// So many processes that push at once, with nobody fetching, do not bring apalis to the length at which it stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_processes_that_push_at_once_leave_a_queue_that_works() -> Result<()> {
    const PROCESSES: usize = 60;
    let server = RedisServer::start()?;
    let metrics = QueueMetrics::register(&Registry::new())?;
    let connect = || RedisQueue::connect(RedisOptions::new(server.url()), metrics.clone());
    let processes: Vec<_> = (0..PROCESSES).map(|_| connect().map(Arc::new)).collect::<Result<_, _>>()?;
    let push = |queue: Arc<RedisQueue>| async move {
        let jobs = (0..200).map(|_| {
            let (queue, id) = (queue.clone(), uuid::Uuid::new_v4());
            async move {
                let job =
                    Job { queue: QueueName::Ingest, id, key: id.to_string(), pushed_at_ms: 0, trace: None };
                queue.push(job).await
            }
        });
        // As many at a time as an api has.
        futures::stream::iter(jobs).buffer_unordered(16).collect::<Vec<_>>().await
    };
    let outcomes = futures::future::join_all(processes.iter().cloned().map(push)).await;
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Pushed::Accepted))).count();
    assert!((2_000..7_000).contains(&accepted), "{accepted} of {} were accepted", outcomes.len());
    let handled = Arc::new(AtomicUsize::new(0));
    let lanes = vec![Lane { queue: QueueName::Ingest, concurrency: 64 }];
    let shutdown = CancellationToken::new();
    let stop = Stop { shutdown: shutdown.clone(), grace: Duration::from_secs(5), fetch: None };
    let (worker, handler) = (processes[0].clone(), Arc::new(Counting(handled.clone())));
    let run = tokio::spawn(async move { worker.run(lanes, handler, stop).await });
    dmrelay_tests::wait::until("all jobs", Duration::from_secs(30), async || {
        Ok((handled.load(Ordering::Relaxed) == accepted).then_some(()))
    })
    .await?;
    shutdown.cancel();
    Ok(run.await??)
}

struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl JobHandler for Counting {
    async fn handle(&self, _job: Job) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Nothing;

#[async_trait]
impl JobHandler for Nothing {
    async fn handle(&self, _job: Job) {}
}

#[tokio::test]
async fn a_run_gives_up_after_the_configured_time() -> Result<()> {
    let server = RedisServer::start()?;
    server.kill()?;
    let options =
        RedisOptions { give_up_after: Some(Duration::from_secs(1)), ..RedisOptions::new(server.url()) };
    let queue = RedisQueue::connect(options, QueueMetrics::register(&Registry::new())?)?;
    let lanes = QueueName::ALL.map(|queue| Lane { queue, concurrency: 1 }).into();
    let stop = Stop { shutdown: CancellationToken::new(), grace: Duration::from_secs(5), fetch: None };
    let ended =
        tokio::time::timeout(Duration::from_secs(30), queue.run(lanes, Arc::new(Nothing), stop)).await?;
    assert!(matches!(ended, Err(QueueError::GaveUp { .. })), "{ended:?}");
    Ok(())
}
