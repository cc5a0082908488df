//! The list of metrics: the field, its kind, the name after `dmrelay_`, and its labels. The line above is both the
//! field's documentation and the help that Prometheus shows.

use super::make::Make;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

macro_rules! metrics {
    ($(#[doc = $help:literal] $field:ident: $kind:ident = $name:literal $([$($label:literal),+])?;)+) => {
        /// The metrics, each under its field.
        pub struct List {
            $(#[doc = $help] pub $field: kind!($kind),)+
        }

        impl List {
            pub(super) fn make(make: &Make<'_>) -> Result<Self, prometheus::Error> {
                Ok(Self { $($field: make.$kind($name, $help.trim() $(, &[$($label),+])?)?,)+ })
            }
        }
    };
}

macro_rules! kind {
    (counter) => {
        IntCounter
    };
    (counters) => {
        IntCounterVec
    };
    (gauge) => {
        IntGauge
    };
    (gauges) => {
        IntGaugeVec
    };
    (float_gauge) => {
        Gauge
    };
    (float_gauges) => {
        GaugeVec
    };
    (seconds) => {
        Histogram
    };
    (seconds_by) => {
        HistogramVec
    };
    (sizes) => {
        Histogram
    };
}

metrics! {
    /// Webhook requests by result: `ok`, `unsigned`, `unavailable`, `too_large`, `timeout`, `handshake`, `refused`.
    webhook_requests: counters = "webhook_requests_total" ["result"];
    /// From a webhook's arrival to its answer.
    webhook_ack_seconds: seconds = "webhook_ack_seconds";
    /// Events in webhooks by kind, and whether they were taken.
    events: counters = "events_total" ["kind", "outcome"];
    /// Events written to the inbox: `new` or `duplicate`.
    inbox_events: counters = "inbox_events_total" ["result"];
    /// Events in one commit of the inbox.
    inbox_batch_events: sizes = "inbox_batch_events";
    /// Time of one commit of the inbox.
    inbox_batch_seconds: seconds = "inbox_batch_seconds";
    /// Webhooks that wait for their commit.
    inbox_waiting: gauge = "inbox_waiting";
    /// REST calls by route and status.
    http_seconds: seconds_by = "http_seconds" ["route", "status"];
    /// Events taken in, by the state they ended in.
    ingested: counters = "ingested_total" ["state"];
    /// Jobs by outcome and failure class.
    jobs: counters = "jobs_total" ["kind", "outcome", "class"];
    /// How long a job took.
    job_seconds: seconds_by = "job_seconds" ["kind"];
    /// From pushing a job to its start.
    job_pickup_seconds: seconds_by = "job_pickup_seconds" ["kind"];
    /// Jobs under way.
    jobs_running: gauges = "jobs_running" ["kind"];
    /// Jobs that may be under way.
    job_slots: gauges = "job_slots" ["kind"];
    /// From the webhook to Graph's acceptance of the reply.
    reply_seconds: seconds = "reply_seconds";
    /// The same by stage.
    reply_stage_seconds: seconds_by = "reply_stage_seconds" ["stage"];
    /// From the agent's answer to Graph's acceptance of it.
    answer_to_sent_seconds: seconds = "answer_to_sent_seconds";
    /// Replies of the agent that will not be sent.
    replies_failed: counters = "replies_failed_total" ["class"];
    /// Messages Graph accepted, by author.
    messages_sent: counters = "messages_sent_total" ["author"];
    /// What became of calls with an unknown outcome.
    reconciliations: counters = "reconciliations_total" ["service", "result"];
    /// Work taken over from a worker that died.
    leases_rescued: counter = "leases_rescued_total";
    /// Work the sweep dispatched.
    sweep_claimed: counters = "sweep_claimed_total" ["kind"];
    /// Which services this process runs.
    leader: gauges = "leader" ["service"];
    /// Beats of services that failed.
    service_errors: counters = "service_errors_total" ["service"];
    /// Renewals of access tokens.
    token_refreshes: counters = "token_refreshes_total" ["result"];
    /// Jobs waiting in a queue.
    queue_depth: gauges = "queue_depth" ["queue"];
    /// Age of the oldest due work.
    oldest_due_seconds: float_gauges = "oldest_due_seconds" ["kind"];
    /// Dead letters waiting to be looked at.
    dead_letters: gauges = "dead_letters" ["class"];
    /// Connections by state.
    connections: gauges = "connections" ["status"];
    /// Connected accounts whose agent is paused.
    accounts_paused: gauge = "accounts_paused";
    /// Connected accounts without events for long.
    accounts_silent: gauge = "accounts_silent";
    /// Closed gates.
    gates_closed: gauges = "gates_closed" ["gate", "cause"];
    /// Tokens by the time they have left.
    tokens: gauges = "tokens" ["left"];
    /// Days until the first token expires.
    token_days_left_min: float_gauge = "token_days_left_min";
    /// Secrets in the database by whether the current key seals them.
    sealed_secrets: gauges = "sealed_secrets" ["key"];
    /// Outgoing calls.
    outgoing_seconds: seconds_by = "outgoing_seconds" ["service", "operation", "status"];
    /// Outgoing calls that failed, by what that means.
    outgoing_failures: counters = "outgoing_failures_total" ["service", "operation", "class"];
    /// Whether a dependency answered when it was asked last.
    dependency_up: gauges = "dependency_up" ["dependency"];
    /// How long a dependency took to answer.
    dependency_seconds: seconds_by = "dependency_seconds" ["dependency"];
    /// Connections of the database's pool.
    db_pool: gauges = "db_pool" ["state"];
}
