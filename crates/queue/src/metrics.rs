//! The metrics of this crate. Every series exists at zero from the start.

use crate::{Pushed, QueueError, QueueName};
use prometheus::{IntCounterVec, Opts, Registry};

/// Why a job was dropped without being run.
#[derive(Clone, Copy)]
pub(crate) enum Drop {
    /// Its payload is not a job.
    Undecodable,
    /// Its entry in Redis is broken, or fetching it ended several workers.
    Unreadable,
}

impl Drop {
    const ALL: [Self; 2] = [Self::Undecodable, Self::Unreadable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The counters of the queues. Cloning shares them.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    pushes: IntCounterVec,
    restarts: IntCounterVec,
    panics: IntCounterVec,
    dropped: IntCounterVec,
}

impl QueueMetrics {
    /// Creates and registers the counters. Fails if the names are taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let metrics = Self {
            pushes: counter(
                "dmrelay_queue_pushes_total",
                "Jobs pushed to a queue, by result",
                &["queue", "result"],
            )?,
            restarts: counter("dmrelay_queue_restarts_total", "Restarts of a queue's worker", &["queue"])?,
            panics: counter("dmrelay_job_panics_total", "Jobs whose handler panicked", &["queue"])?,
            dropped: counter(
                "dmrelay_jobs_dropped_total",
                "Jobs dropped without being run",
                &["queue", "reason"],
            )?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        for queue in QueueName::ALL.map(QueueName::as_str) {
            for result in ["accepted", "full", "error"] {
                self.pushes.with_label_values(&[queue, result]);
            }
            for reason in Drop::ALL {
                self.dropped.with_label_values(&[queue, reason.as_str()]);
            }
            self.restarts.with_label_values(&[queue]);
            self.panics.with_label_values(&[queue]);
        }
    }

    pub(crate) fn pushed(&self, queue: QueueName, result: &Result<Pushed, QueueError>) {
        let result = match result {
            Ok(Pushed::Accepted) => "accepted",
            Ok(Pushed::Full) => "full",
            Err(_) => "error",
        };
        self.pushes.with_label_values(&[queue.as_str(), result]).inc();
    }

    pub(crate) fn restarted(&self, queue: QueueName) {
        self.restarts.with_label_values(&[queue.as_str()]).inc();
    }

    pub(crate) fn panicked(&self, queue: QueueName) {
        self.panics.with_label_values(&[queue.as_str()]).inc();
    }

    pub(crate) fn dropped(&self, queue: QueueName, reason: Drop, count: u64) {
        self.dropped.with_label_values(&[queue.as_str(), reason.as_str()]).inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_exists_from_the_start() {
        let registry = Registry::new();
        QueueMetrics::register(&registry).unwrap();
        let series: usize = registry.gather().iter().map(|family| family.get_metric().len()).sum();
        assert_eq!(series, QueueName::ALL.len() * (3 + 1 + 1 + 2));
    }

    #[test]
    fn registering_twice_fails() {
        let registry = Registry::new();
        QueueMetrics::register(&registry).unwrap();
        assert!(QueueMetrics::register(&registry).is_err());
    }
}
