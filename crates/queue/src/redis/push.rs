//! Pushes jobs.

use super::{
    Shared,
    admission::{Admission, WAITING_MAX},
    link::classified,
    payload::Payload,
    within,
};
use crate::{Job, Pushed, QueueError, QueueName};
use ::redis::aio::ConnectionManager;
use apalis::prelude::TaskBuilder;
use apalis_redis::{Config, queries::push_tasks};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a failure to reach Redis is cached: other pushes fail at once meanwhile.
const FAILURE_CACHE_TTL: Duration = Duration::from_millis(200);

/// Pushes to all queues over one connection.
pub(super) struct Pusher {
    shared: Arc<Shared>,
    conn: ConnectionManager,
    doors: [(Config, Admission); QueueName::ALL.len()],
    /// While Redis is down, an occasional push probes whether it has recovered; the others need not wait for
    /// the same result.
    out_of_order_until: Mutex<Option<Instant>>,
}

impl Pusher {
    pub(super) fn new(shared: Arc<Shared>, conn: ConnectionManager) -> Self {
        let limit = shared.options.max_waiting.min(WAITING_MAX);
        let doors = QueueName::ALL.map(|queue| (shared.config(queue), Admission::new(limit)));
        Self { shared, conn, doors, out_of_order_until: Mutex::default() }
    }

    pub(super) async fn push(&self, job: &Job) -> Result<Pushed, QueueError> {
        if self.is_out_of_order() {
            return Err(QueueError::Unavailable("cached failure".into()));
        }
        let result = within(self.shared.options.push_timeout, self.enqueue(job)).await;
        if matches!(result, Err(QueueError::Unavailable(_))) {
            self.set_out_of_order();
        }
        result
    }

    async fn enqueue(&self, job: &Job) -> Result<Pushed, QueueError> {
        let (config, admission) = &self.doors[job.queue as usize];
        let mut conn = self.conn.clone();
        let payload = Payload::encode(job)?;
        let Some(_admitted) = admission.enter(&mut conn, config).await? else {
            return Ok(Pushed::Full);
        };
        // No task id of our own: apalis-redis 1.0.0 parses ids when it fetches ("00123" becomes 123); the ack
        // then names another job, fails, and ends the worker. apalis generates its own.
        // No attempts, priority or time either: its retries are linear and end at a fixed 25, priorities are
        // ignored, and order is not preserved even by a single worker. All of that is in the rows.
        let task = TaskBuilder::new(payload).idempotency_key(&job.key).build();
        // A duplicate is `Ok` as well; uniqueness that matters is enforced in SQL.
        push_tasks(&mut conn, config, &[task]).await.map_err(from_apalis)?;
        Ok(Pushed::Accepted)
    }

    fn is_out_of_order(&self) -> bool {
        self.out_of_order_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|until| Instant::now() < until)
    }

    fn set_out_of_order(&self) {
        *self.out_of_order_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + FAILURE_CACHE_TTL);
    }
}

fn from_apalis(error: apalis_redis::Error) -> QueueError {
    match error {
        apalis_redis::Error::Database(error) => classified(&error),
        other => QueueError::Refused(other.to_string()),
    }
}
