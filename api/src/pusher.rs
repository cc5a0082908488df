//! Pushes an `ingest` job for each stored event, outside the request: a webhook is acknowledged whether or
//! not its job could be pushed, because the poller finds the row.

use dmrelay_domain::clock::{Clock, SystemClock};
use dmrelay_queue::{Job, JobQueue, QueueName};
use dmrelay_runtime::metrics::Metrics;
use dmrelay_store::{Batch, OnStored, Stored};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// Maximum number of events waiting to be pushed; the poller handles the rest.
const EVENTS_WAITING_MAX: usize = 10_000;

/// Maximum number of concurrent pushes.
const PUSHES_MAX: usize = 16;

/// Starts the pusher; it stops when the returned function is dropped.
pub(crate) fn start(queue: &Arc<dyn JobQueue>, metrics: Arc<Metrics>) -> OnStored {
    let (events, waiting) = mpsc::channel::<Stored>(EVENTS_WAITING_MAX);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..PUSHES_MAX {
        tokio::spawn(push(queue.clone(), waiting.clone()));
    }
    Arc::new(move |batch| {
        count(&metrics, &batch);
        let deferred = batch.stored.iter().filter(|event| event.is_deferred).count();
        metrics.events_deferred.inc_by(u64::try_from(deferred).unwrap_or(u64::MAX));
        for event in batch.stored.into_iter().filter(|event| !event.is_deferred) {
            if events.try_send(event).is_err() {
                tracing::debug!("job not pushed, backlog full; the poller will pick up the row");
            }
        }
    })
}

fn count(metrics: &Metrics, batch: &Batch) {
    let known = batch.events.saturating_sub(batch.stored.len());
    let count = |result: &str, number: usize| {
        metrics.inbox_events.with_label_values(&[result]).inc_by(u64::try_from(number).unwrap_or(u64::MAX));
    };
    count("new", batch.stored.len());
    count("duplicate", known);
    metrics.inbox_batch_seconds.observe(batch.took.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "the size of a batch fits a float")]
    metrics.inbox_batch_events.observe(batch.events as f64);
}

async fn push(queue: Arc<dyn JobQueue>, waiting: Arc<Mutex<mpsc::Receiver<Stored>>>) {
    loop {
        let event = waiting.lock().await.recv().await;
        let Some(event) = event else { return };
        let job = Job {
            queue: QueueName::Ingest,
            id: event.id.0,
            key: format!("{}:0", event.key.to_hex()),
            pushed_at_ms: SystemClock.now(),
            trace: Some(event.trace.to_string()),
        };
        if let Err(err) = queue.push(job).await {
            tracing::debug!(event = %event.id, error = %err, "job not pushed; the poller will pick up the row");
        }
    }
}
