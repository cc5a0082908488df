//! Creates metrics, and registers those that a process exports.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

type Made<T> = Result<T, prometheus::Error>;

/// Buckets in seconds, from a millisecond to five minutes. The 5 s objective is one of the bounds.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Buckets of batch sizes.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// Buckets in seconds of what may take as long as Meta delivers again: a second to a day and a half.
const LONG: &[f64] =
    &[1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 129_600.0];

/// Who exports a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Every process.
    Common,
    /// The API.
    Api,
    /// Each worker.
    Worker,
    /// The worker that counts for all.
    Leader,
}

pub(super) struct Make<'a> {
    pub(super) registry: &'a Registry,
    /// The groups that this process exports.
    pub(super) exports: &'a [Group],
    /// The metrics of [`Group::Leader`].
    pub(super) leading: Vec<Box<dyn Collector>>,
    pub(super) group: Group,
}

impl Make<'_> {
    /// What is made next belongs to this group.
    pub(super) fn of(&mut self, group: Group) -> &mut Self {
        self.group = group;
        self
    }

    fn add<C: Collector + Clone + 'static>(&mut self, metric: C) -> Made<C> {
        if self.group == Group::Leader {
            self.leading.push(Box::new(metric.clone()));
        } else if self.exports.contains(&self.group) {
            self.registry.register(Box::new(metric.clone()))?;
        }
        Ok(metric)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> Made<IntCounter> {
        self.add(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Made<IntGauge> {
        self.add(IntGauge::with_opts(opts(name, help))?)
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }

    pub(super) fn float_gauge(&mut self, name: &str, help: &str) -> Made<Gauge> {
        self.add(Gauge::with_opts(opts(name, help))?)
    }

    pub(super) fn float_gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
        self.add(GaugeVec::new(opts(name, help), labels)?)
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str) -> Made<Histogram> {
        self.add(Histogram::with_opts(bounds(name, help, SECONDS))?)
    }

    pub(super) fn seconds_by(&mut self, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
        self.add(HistogramVec::new(bounds(name, help, SECONDS), labels)?)
    }

    pub(super) fn long(&mut self, name: &str, help: &str) -> Made<Histogram> {
        self.add(Histogram::with_opts(bounds(name, help, LONG))?)
    }

    pub(super) fn sizes(&mut self, name: &str, help: &str) -> Made<Histogram> {
        self.add(Histogram::with_opts(bounds(name, help, SIZES))?)
    }

    /// Process metrics from the operating system: `process_*`, on Linux.
    pub(super) fn process(&self) -> Made<()> {
        #[cfg(target_os = "linux")]
        self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(())
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("dmrelay")
}

fn bounds(name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).namespace("dmrelay").buckets(bounds.to_vec())
}
