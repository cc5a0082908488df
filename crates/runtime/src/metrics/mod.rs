//! All metrics of dmrelay by name, in one place; `docs/metrics.md` lists them. Labels are closed sets, never
//! ids or names, and every counter exists at zero from the start.

mod leading;
mod list;
mod make;
mod stage;
#[cfg(test)]
mod tests;

pub use list::List;
pub use prometheus::IntGauge;
pub use stage::{Stage, seconds};

use crate::version;
use dmrelay_domain::event::Kind;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::notification::Channel;
use dmrelay_domain::states::EventState;
use leading::Leading;
use make::{Group, Make};
use prometheus::{Encoder, IntCounterVec, Registry, TextEncoder};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Called before every scrape, to set values that are cheaper to look up then than to track.
type Refresh = Box<dyn Fn() + Send + Sync>;

/// The metrics of one process.
pub struct Metrics {
    /// Their registry; other crates add theirs.
    pub registry: Registry,
    refresh: Mutex<Vec<Refresh>>,
    list: List,
    leading: Leading,
}

/// A process, which exports the metrics of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// `dmrelay-api`.
    Api,
    /// `dmrelay-worker`.
    Worker,
    /// Both in one, as in the quick start and in tests.
    Both,
    /// A command of an operator, whose metrics nobody reads.
    Command,
}

impl Process {
    /// Its name, as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Both => "both",
            Self::Command => "command",
        }
    }

    fn exports(self) -> &'static [Group] {
        match self {
            Self::Api => &[Group::Common, Group::Api],
            Self::Worker => &[Group::Common, Group::Worker, Group::Leader],
            Self::Both => &[Group::Common, Group::Api, Group::Worker, Group::Leader],
            Self::Command => &[],
        }
    }
}

impl Deref for Metrics {
    type Target = List;

    fn deref(&self) -> &List {
        &self.list
    }
}

/// The jobs of the pipeline.
pub const JOBS: [&str; 3] = ["ingest", "turn", "deliver"];

/// The services of a worker, each led by one worker at a time.
pub const SERVICES: [&str; 8] =
    ["sweep", "gauges", "upkeep", "tokens", "retention", "erasure", "usage", "incidents"];

/// The dependencies a process needs.
pub const DEPENDENCIES: [&str; 2] = ["database", "redis"];

/// The values of the label `breaker` of `dmrelay_circuit_breakers_open`.
pub const BREAKERS: [&str; 5] = ["agent", "one_agent", "agent_key", "graph_app", "graph_account"];
/// Why a circuit breaker is open.
pub const BREAKER_CAUSES: [&str; 3] = ["failing", "refused", "told"];

/// Where a conversation waits for its answer: the values of the label `stage` of `dmrelay_conversations_waiting`.
pub const WAITING: [&str; 5] = ["inbox", "ask", "agent", "send", "held"];

/// The label values of `dmrelay_tokens`.
pub const TOKENS_LEFT: [&str; 6] = ["expired", "1d", "7d", "30d", "more", "endless"];

impl Metrics {
    /// Creates the metrics, and registers those that `process` exports; its name, the version and the commit become
    /// `dmrelay_build_info`.
    ///
    /// # Errors
    /// If a name is registered twice.
    pub fn new(process: Process) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let exports = process.exports();
        let mut make = Make { registry: &registry, exports, leading: Vec::new(), group: Group::Common };
        let list = List::make(&mut make)?;
        let labels = ["version", "commit", "process"];
        let build = make.of(Group::Common).gauges("build_info", "The version that runs", &labels)?;
        build.with_label_values(&[version::NUMBER, version::COMMIT, process.as_str()]).set(1);
        make.process()?;
        let leading = Leading::new(make.leading);
        if exports.contains(&Group::Leader) {
            registry.register(Box::new(leading.clone()))?;
        }
        let metrics = Self { registry, refresh: Mutex::default(), list, leading };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A rate over a series that appears with its first failure would miss that failure.
    fn start_at_zero(&self) {
        let classes = || FailureClass::ALL.iter().map(|class| class.as_str());
        let at_zero = |series: &IntCounterVec, words: &[&str]| {
            for word in words {
                series.with_label_values(&[word]);
            }
        };
        let results = ["ok", "unsigned", "unavailable", "too_large", "timeout", "handshake", "refused"];
        at_zero(&self.webhook_requests, &results);
        at_zero(&self.inbox_events, &["new", "duplicate"]);
        at_zero(&self.messages_sent, &["agent", "human"]);
        at_zero(&self.sweep_claimed, &JOBS);
        at_zero(&self.service_errors, &SERVICES);
        at_zero(&self.token_refreshes, &["ok", "failed"]);
        at_zero(&self.replies_failed, &classes().collect::<Vec<_>>());
        for kind in Kind::ALL {
            for outcome in ["accepted", "not_spoken_for"] {
                self.events.with_label_values(&[kind.as_str(), outcome]);
            }
        }
        for state in EventState::ALL.iter().filter(|state| **state != EventState::New) {
            self.ingested.with_label_values(&[state.as_str()]);
        }
        for job in JOBS {
            self.job_seconds.with_label_values(&[job]);
            self.job_pickup_seconds.with_label_values(&[job]);
            self.jobs_running.with_label_values(&[job]);
            self.job_slots.with_label_values(&[job]);
            self.jobs.with_label_values(&[job, "done", "none"]);
            self.jobs.with_label_values(&[job, "idle", "none"]);
            for class in classes() {
                self.jobs.with_label_values(&[job, "failed", class]);
                self.jobs.with_label_values(&[job, "retry", class]);
            }
        }
        for stage in Stage::ALL {
            self.reply_stage_seconds.with_label_values(&[stage.as_str()]);
        }
        for service in SERVICES {
            self.leader.with_label_values(&[service]);
        }
        for dependency in DEPENDENCIES {
            self.dependency_seconds.with_label_values(&[dependency]);
        }
        for service in ["graph", "agent"] {
            for result in ["happened", "did_not_happen", "unknown"] {
                self.reconciliations.with_label_values(&[service, result]);
            }
        }
        for channel in Channel::ALL {
            for result in ["delivered", "retry", "failed", "test"] {
                self.notifications.with_label_values(&[channel.as_str(), result]);
            }
        }
        for result in ["stored", "retry", "expired", "failed", "deleted"] {
            self.media.with_label_values(&[result]);
        }
        for scope in ["account", "subaccount", "installation"] {
            self.turn_budgets_used_up.with_label_values(&[scope]).set(0);
        }
    }

    /// The gauges that this process counts for all are counted, and true for that long.
    pub fn counted(&self, true_for: Duration) {
        self.leading.counted(true_for);
    }

    /// Another process counts for all now: this one no longer exports those gauges.
    pub fn lost_count(&self) {
        self.leading.lost();
    }

    /// Initializes a connector's calls at zero: `operations` of `service`.
    pub fn expect_calls(&self, service: &str, operations: &[&str]) {
        for operation in operations {
            self.outgoing_seconds.with_label_values(&[service, operation, "2xx"]);
            for class in FailureClass::ALL {
                self.outgoing_failures.with_label_values(&[service, operation, class.as_str()]);
            }
        }
    }

    /// Records whether a dependency responded, and its response time.
    pub fn dependency(&self, name: &str, up: bool, took: Duration) {
        self.dependency_up.with_label_values(&[name]).set(up.into());
        self.dependency_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    /// Registers `refresh` to be called before every scrape. It must not block.
    pub fn on_scrape(&self, refresh: impl Fn() + Send + Sync + 'static) {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(refresh));
    }

    /// The metrics in Prometheus text format.
    pub fn render(&self) -> Vec<u8> {
        for refresh in self.refresh.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            refresh();
        }
        let mut text = Vec::new();
        if let Err(err) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(error = %err, "cannot render the metrics");
        }
        text
    }
}
