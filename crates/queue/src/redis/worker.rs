//! The apalis workers of a lane, one run after another.

use super::{
    Shared,
    link::classified,
    payload::{AsItIs, Payload},
    poll::SteadyBeat,
    retire::retire,
    station::{Running, Station},
    within,
};
use crate::{QueueError, crew::Crew, metrics::Drop as Dropped, supervisor::Ended};
use ::redis::{Script, aio::ConnectionManager};
use apalis::prelude::{BackendExt, Event, EventListenerExt, WorkerBuilder, WorkerContext, WorkerError};
use apalis_redis::{Config, RedisStorage};
use std::{
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tracing::{debug, warn};
use uuid::Uuid;

/// A worker that ran this long, or has taken a job, was healthy.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Only if it is still registered: otherwise others have already taken its jobs.
static KEEP_ALIVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(r#"redis.call("ZADD", KEYS[1], "XX", redis.call("TIME")[1], ARGV[1])"#));

/// The succession of workers of a lane.
pub(super) struct Bench {
    shared: Arc<Shared>,
    config: Config,
    crew: Crew,
    running: Running,
    /// The last worker, until cleaning up after it is known to be complete.
    last: Mutex<Option<WorkerContext>>,
}

impl Bench {
    pub(super) fn new(shared: Arc<Shared>, crew: Crew) -> Self {
        Self {
            config: shared.config(crew.queue()),
            shared,
            crew,
            running: Running::default(),
            last: Mutex::default(),
        }
    }

    /// One worker, from its start until it ends or is stopped.
    pub(super) async fn one_life(&self) -> Ended {
        let began = Instant::now();
        let taken_before = self.running.taken();
        let reason = match self.live().await {
            Ok(()) => "closed".into(),
            Err(error) => error.to_string(),
        };
        Ended { reason, was_healthy: self.running.taken() > taken_before || began.elapsed() >= HEALTHY_AFTER }
    }

    async fn live(&self) -> Result<(), QueueError> {
        let mut conn = self.shared.link.open().await?;
        self.retire_last(&mut conn).await?;
        // In apalis-redis 1.0.0 a name cannot be reused while its last heartbeat is fresh, and if two workers
        // use a name, one inherits the other's jobs. So every run has a new name.
        let worker = WorkerContext::new(&unique_name());
        self.set_last(Some(worker.clone()));
        let beats = Arc::new(Notify::new());
        let beat = beats.clone();
        let backend = RedisStorage::<Payload>::new(conn.clone())
            .with_config(self.config.clone())
            .with_codec(AsItIs)
            .poll_with_strategy(SteadyBeat::new(self.shared.options.poll_interval));
        let work = WorkerBuilder::new(worker.clone())
            .backend(backend)
            .on_event(move |_, event| {
                if matches!(event, Event::HeartBeat) {
                    beat.notify_one();
                }
            })
            .build(Station::new(self.crew.clone(), self.running.clone()))
            .run();
        tokio::pin!(work);
        tokio::select! {
            // First, so that the worker has started before it is asked to end: otherwise it would refuse.
            biased;
            ended = &mut work => return ended.map_err(|error| died(&error)),
            () = self.silence(&beats) => return Err(QueueError::Broken("the worker stopped sending heartbeats".into())),
            () = self.crew.run().stopping.cancelled() => {}
        }
        worker.stop().map_err(|error| died(&error))?;
        self.close(work, &mut conn, &worker).await
    }

    /// Ends when the worker has sent no heartbeat for as long as it takes to count as dead: whatever the
    /// cause, a new worker helps.
    async fn silence(&self, beats: &Notify) {
        let limit = self.config.orphaned_duration() + self.shared.options.response_timeout;
        while tokio::time::timeout(limit, beats.notified()).await.is_ok() {}
    }

    /// Waits for the worker to close, which it does when its started jobs have ended.
    ///
    /// While it waits for them, a worker of apalis 1.0.0 sends no heartbeats. Others would consider it dead
    /// and run the same jobs, so heartbeats are sent here.
    async fn close(
        &self,
        work: impl Future<Output = Result<(), WorkerError>>,
        conn: &mut ConnectionManager,
        worker: &WorkerContext,
    ) -> Result<(), QueueError> {
        let mut beat = tokio::time::interval(self.config.heartbeat_interval);
        tokio::pin!(work);
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                _ = beat.tick() => self.keep_alive(conn, worker).await,
            }
        };
        let retired = self.retire_last(conn).await;
        ended.map_err(|error| died(&error)).and(retired)
    }

    async fn keep_alive(&self, conn: &mut ConnectionManager, worker: &WorkerContext) {
        let mut beat = KEEP_ALIVE.key(self.config.workers_set());
        beat.arg(worker.name());
        let sent = async {
            let sent = beat.invoke_async::<()>(conn).await;
            sent.map_err(|error| classified(&error))
        };
        if let Err(error) = within(self.shared.options.push_timeout, sent).await {
            debug!(%error, "cannot send the heartbeat of a closing worker");
        }
    }

    /// Cleans up after the last worker, unless that is already done.
    async fn retire_last(&self, conn: &mut ConnectionManager) -> Result<(), QueueError> {
        let Some(worker) = self.last() else {
            return Ok(());
        };
        let done = retire(conn, &self.config, &worker, &self.running.ids()).await?;
        self.set_last(None);
        let queue = self.crew.queue();
        if done.dropped > 0 {
            let dropped = done.dropped;
            warn!(queue = queue.as_str(), dropped, "entries that cannot be fetched were dropped");
            self.shared.metrics.dropped(queue, Dropped::Unreadable, dropped);
        }
        if done.given_back > 0 {
            let jobs = done.given_back;
            debug!(queue = queue.as_str(), jobs, "returned jobs that had not started");
        }
        Ok(())
    }

    fn last(&self) -> Option<WorkerContext> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_last(&self, worker: Option<WorkerContext>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = worker;
    }
}

fn died(error: &WorkerError) -> QueueError {
    QueueError::Broken(error.to_string())
}

/// Host and process, for anyone inspecting Redis.
fn unique_name() -> String {
    static HOST: LazyLock<String> = LazyLock::new(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "host".into(), |name| name.trim().to_owned())
    });
    format!("{}:{}:{}", *HOST, std::process::id(), Uuid::new_v4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        assert_ne!(unique_name(), unique_name());
    }
}
