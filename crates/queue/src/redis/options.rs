//! Settings of the queue in Redis.

use crate::{QueueName, supervisor::Policy};
use apalis_redis::Config;
use std::{fmt, time::Duration};

/// Jobs of the queue `ingest` fetched at a time.
const INGEST_BATCH: usize = 64;

/// How many jobs a worker fetches at a time.
///
/// In apalis-redis 1.0.0 a worker that holds prefetched jobs sends neither heartbeats nor acks: it is taken for dead while
/// healthy, and its jobs run twice. So none is prefetched whose run takes time. An ingest job only wakes the one who claims
/// events, which is done at once, and does no harm when it is done twice.
fn batch_size(queue: QueueName) -> usize {
    if queue == QueueName::Ingest { INGEST_BATCH } else { 1 }
}

/// Settings of the queue in Redis. [`RedisOptions::new`] has the defaults.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://` or `rediss://` (TLS).
    pub url: String,
    /// Prefix of all keys.
    pub namespace: String,
    /// Timeout of a push or a query.
    pub push_timeout: Duration,
    /// How long Redis may take to respond to a worker before the connection is replaced.
    pub response_timeout: Duration,
    /// How long a deduplication key is remembered; in whole seconds, at least one.
    pub dedupe_ttl: Duration,
    /// Maximum number of jobs waiting in each queue; at most 2,000.
    pub max_waiting: u64,
    /// Polling interval of an idle lane.
    pub poll_interval: Duration,
    /// Heartbeat interval of a worker; in whole seconds, at least one.
    pub heartbeat: Duration,
    /// Number of missed heartbeats after which a worker counts as dead and another runs its jobs.
    pub missed_heartbeats: usize,
    /// Interval of removing finished jobs.
    pub clean_up_beat: Duration,
    /// Maximum delay between two attempts to start a worker.
    pub max_restart_delay: Duration,
    /// How long a lane may fail continuously before [`crate::JobQueue::run`] gives up. A Redis outage of
    /// hours must not end a process; after a day of failures a new process may help.
    pub give_up_after: Option<Duration>,
}

impl RedisOptions {
    /// The defaults, for a Redis at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: "dmrelay".into(),
            push_timeout: Duration::from_millis(500),
            response_timeout: Duration::from_secs(5),
            dedupe_ttl: Duration::from_mins(10),
            max_waiting: 2_000,
            poll_interval: Duration::from_millis(10),
            heartbeat: Duration::from_secs(10),
            missed_heartbeats: 3,
            clean_up_beat: Duration::from_secs(5),
            max_restart_delay: Duration::from_secs(2),
            give_up_after: Some(Duration::from_hours(24)),
        }
    }

    /// The apalis configuration of a queue.
    pub(super) fn config(&self, queue: QueueName) -> Config {
        Config::default()
            .queue(format!("{}:{}", self.namespace, queue.as_str()))
            .batch_size(batch_size(queue))
            // By default a dead worker's jobs are picked up only after 300 s (30 s × 10).
            .heartbeat_interval(self.heartbeat.max(Duration::from_secs(1)))
            .missed_heartbeats(self.missed_heartbeats.max(2))
            // Without a time to live nothing is deduplicated, whatever the documentation says: the missing
            // value is sent as 0 seconds and the key expires at once. A value below one second does the same.
            .idempotency_ttl(Some(self.dedupe_ttl.max(Duration::from_secs(1))))
            // A lock per job costs another script and a scan of the waiting list (LREM), and nothing reads
            // it: orphans are found by their worker's heartbeat, and SQL decides who may work.
            .lock_tasks(false)
            // No one listens.
            .emit_events(false)
            // Despite its name this is the ack: without it no job ever leaves the worker's set.
            .persist_results(true)
    }

    pub(super) fn policy(&self) -> Policy {
        Policy {
            first_delay: Duration::from_millis(50),
            max_delay: self.max_restart_delay,
            give_up_after: self.give_up_after,
        }
    }
}

/// The URL may contain a password and is not shown.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("namespace", &self.namespace)
            .field("push_timeout", &self.push_timeout)
            .field("dedupe_ttl", &self.dedupe_ttl)
            .field("max_waiting", &self.max_waiting)
            .field("poll_interval", &self.poll_interval)
            .field("heartbeat", &self.heartbeat)
            .field("missed_heartbeats", &self.missed_heartbeats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_password() {
        let shown = format!("{:?}", RedisOptions::new("redis://:hunter2@cache/0"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn values_that_would_disable_a_guard_are_raised() {
        let config = RedisOptions {
            dedupe_ttl: Duration::ZERO,
            heartbeat: Duration::from_millis(1),
            missed_heartbeats: 0,
            ..RedisOptions::new("redis://cache")
        }
        .config(QueueName::Turn);
        assert_eq!(config.idempotency_ttl, Some(Duration::from_secs(1)));
        assert_eq!(config.orphaned_duration(), Duration::from_secs(2));
        assert_eq!(config.batch_size, 1);
        assert_eq!(config.active_jobs_list(), "dmrelay:turn:active");
    }
}
