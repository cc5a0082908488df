//! Every metric of dmrelay, by name, in one place. Labels are closed sets, never ids or names; series that
//! an alert reads exist at zero from the start.

use dmrelay_domain::event::Kind;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::ConnectionStatus;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// The metrics of one process.
pub struct Metrics {
    /// The registry they are in; other crates add theirs.
    pub registry: Registry,
    /// Webhook requests by result: `ok`, `unsigned`, `unavailable`, `too_large`, `timeout`, `handshake`, `refused`.
    pub webhook_requests: IntCounterVec,
    /// From the first byte of a webhook to its answer.
    pub webhook_ack_seconds: Histogram,
    /// Events by kind and outcome.
    pub events: IntCounterVec,
    /// Jobs by outcome and failure class.
    pub jobs: IntCounterVec,
    /// How long a job took.
    pub job_seconds: HistogramVec,
    /// From pushing a job to its start.
    pub job_pickup_seconds: HistogramVec,
    /// Jobs waiting in a queue.
    pub queue_depth: IntGaugeVec,
    /// Age of the oldest due work.
    pub oldest_due_seconds: GaugeVec,
    /// From the webhook to Graph's acceptance of the reply.
    pub reply_seconds: Histogram,
    /// Outgoing calls.
    pub outgoing_seconds: HistogramVec,
    /// What became of calls with an unknown outcome.
    pub reconciliations: IntCounterVec,
    /// Work taken over from a worker that died.
    pub leases_rescued: IntCounter,
    /// Dead letters waiting to be looked at.
    pub dead_letters: IntGaugeVec,
    /// Connections by state.
    pub connections: IntGaugeVec,
    /// Days until the first token expires.
    pub token_days_left_min: Gauge,
    /// Connections of the database's pool.
    pub db_pool: IntGaugeVec,
    /// HTTP requests of the REST API.
    pub http_seconds: HistogramVec,
}

/// Seconds, from a millisecond to two minutes.
const BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The jobs of the pipeline.
pub const JOBS: [&str; 3] = ["ingest", "turn", "deliver"];

impl Metrics {
    /// Makes and registers them; `process` and the version become `dmrelay_build_info`.
    ///
    /// # Errors
    /// When a name is registered twice.
    pub fn new(process: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let make = Make { registry: &registry };
        let metrics = Self {
            webhook_requests: make.counters(
                "webhook_requests_total",
                "Webhook requests by result",
                &["result"],
            )?,
            webhook_ack_seconds: make
                .histogram("webhook_ack_seconds", "From a webhook's arrival to its answer")?,
            events: make.counters("events_total", "Events by kind and outcome", &["kind", "outcome"])?,
            jobs: make.counters(
                "jobs_total",
                "Jobs by outcome and failure class",
                &["job", "outcome", "class"],
            )?,
            job_seconds: make.histograms("job_seconds", "Duration of a job", &["job"])?,
            job_pickup_seconds: make.histograms(
                "job_pickup_seconds",
                "From pushing a job to its start",
                &["job"],
            )?,
            queue_depth: make.gauges("queue_depth", "Jobs waiting in a queue", &["queue"])?,
            oldest_due_seconds: make.float_gauges(
                "oldest_due_seconds",
                "Age of the oldest due work",
                &["job"],
            )?,
            reply_seconds: make
                .histogram("reply_seconds", "From the webhook to Graph's acceptance of the reply")?,
            outgoing_seconds: make.histograms(
                "outgoing_seconds",
                "Outgoing calls",
                &["service", "operation", "status"],
            )?,
            reconciliations: make.counters(
                "reconciliations_total",
                "Calls of unknown outcome, by what became of them",
                &["service", "result"],
            )?,
            leases_rescued: make
                .counter("leases_rescued_total", "Work taken over from a worker that died")?,
            dead_letters: make.gauges("dead_letters", "Dead letters waiting to be looked at", &["class"])?,
            connections: make.gauges("connections", "Connections by state", &["status"])?,
            token_days_left_min: make.gauge("token_days_left_min", "Days until the first token expires")?,
            db_pool: make.gauges("db_pool", "Connections of the database pool", &["state"])?,
            http_seconds: make.histograms("http_seconds", "REST calls", &["route", "status"])?,
            registry: registry.clone(),
        };
        let build = make.gauges("build_info", "The version that runs", &["version", "process"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), process]).set(1);
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A rate over a series that appears with its first failure would miss that failure.
    fn start_at_zero(&self) {
        self.token_days_left_min.set(f64::INFINITY);
        for result in ["ok", "unsigned", "unavailable", "too_large", "timeout", "handshake", "refused"] {
            self.webhook_requests.with_label_values(&[result]);
        }
        for kind in Kind::ALL {
            self.events.with_label_values(&[kind.as_str(), "accepted"]);
        }
        for job in JOBS {
            self.job_seconds.with_label_values(&[job]);
            self.job_pickup_seconds.with_label_values(&[job]);
            self.oldest_due_seconds.with_label_values(&[job]);
            self.jobs.with_label_values(&[job, "done", "none"]);
            for class in FailureClass::ALL {
                self.jobs.with_label_values(&[job, "failed", class.as_str()]);
            }
        }
        for class in FailureClass::ALL {
            self.dead_letters.with_label_values(&[class.as_str()]);
        }
        for status in ConnectionStatus::ALL {
            self.connections.with_label_values(&[status.as_str()]);
        }
        for service in ["graph", "agent"] {
            for result in ["happened", "did_not_happen", "unknown"] {
                self.reconciliations.with_label_values(&[service, result]);
            }
        }
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(err) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(error = %err, "metrics cannot be rendered");
        }
        text
    }
}

struct Make<'a> {
    registry: &'a Registry,
}

impl Make<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(opts(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::with_opts(opts(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.add(GaugeVec::new(opts(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(buckets(name, help))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.add(HistogramVec::new(buckets(name, help), labels)?)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("dmrelay")
}

fn buckets(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("dmrelay").buckets(BUCKETS.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alerts_read_is_there_from_the_start() {
        let text = String::from_utf8(Metrics::new("test").unwrap().render()).unwrap();
        for series in [
            "dmrelay_webhook_requests_total{result=\"unsigned\"} 0",
            "dmrelay_dead_letters{class=\"window_closed\"} 0",
            "dmrelay_leases_rescued_total 0",
            "dmrelay_reply_seconds_count 0",
            "dmrelay_build_info{",
        ] {
            assert!(text.contains(series), "{series}");
        }
    }
}
