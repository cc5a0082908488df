//! Creates and registers metrics.

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

pub(super) struct Make<'a> {
    pub(super) registry: &'a Registry,
}

impl Make<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, metric: C) -> Made<C> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.add(IntCounter::with_opts(opts(name, help))?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.add(IntGauge::with_opts(opts(name, help))?)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }

    pub(super) fn float_gauge(&self, name: &str, help: &str) -> Made<Gauge> {
        self.add(Gauge::with_opts(opts(name, help))?)
    }

    pub(super) fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<GaugeVec> {
        self.add(GaugeVec::new(opts(name, help), labels)?)
    }

    pub(super) fn seconds(&self, name: &str, help: &str) -> Made<Histogram> {
        self.add(Histogram::with_opts(bounds(name, help, SECONDS))?)
    }

    pub(super) fn seconds_by(&self, name: &str, help: &str, labels: &[&str]) -> Made<HistogramVec> {
        self.add(HistogramVec::new(bounds(name, help, SECONDS), labels)?)
    }

    pub(super) fn sizes(&self, name: &str, help: &str) -> Made<Histogram> {
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
