//! The list of metrics: who exports them; field, kind, name after `dmrelay_`, and labels. The line above each is both the
//! field's documentation and the help text in Prometheus.

use super::make::{Group, Make};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

macro_rules! metrics {
    ($($group:ident {
        $(#[doc = $help:literal] $field:ident: $kind:ident = $name:literal $([$($label:literal),+])?;)+
    })+) => {
        /// The metrics, each under its field.
        pub struct List {
            $($(#[doc = $help] pub $field: kind!($kind),)+)+
        }

        impl List {
            pub(super) fn make(make: &mut Make<'_>) -> Result<Self, prometheus::Error> {
                Ok(Self {
                    $($($field: make.of(Group::$group).$kind($name, $help.trim() $(, &[$($label),+])?)?,)+)+
                })
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
    (long) => {
        Histogram
    };
}

metrics! {
    Common {
        /// Duration of outgoing calls.
        outgoing_seconds: seconds_by = "outgoing_seconds" ["service", "operation", "status"];
        /// Failed outgoing calls by failure class.
        outgoing_failures: counters = "outgoing_failures_total" ["service", "operation", "class"];
        /// Whether a dependency responded to the last check.
        dependency_up: gauges = "dependency_up" ["dependency"];
        /// Response time of a dependency.
        dependency_seconds: seconds_by = "dependency_seconds" ["dependency"];
        /// Connections of the database's pool.
        db_pool: gauges = "db_pool" ["state"];
        /// Whether the process can do its work, as `/readyz` says.
        ready: gauge = "ready";
    }
    Api {
        /// Webhook requests by result: `ok`, `unsigned`, `unavailable`, `too_large`, `timeout`, `handshake`, `refused`.
        webhook_requests: counters = "webhook_requests_total" ["result"];
        /// Time from a webhook's arrival to its acknowledgement; refusals are not counted.
        webhook_ack_seconds: seconds = "webhook_ack_seconds";
        /// Events in webhooks by kind and outcome.
        events: counters = "events_total" ["kind", "outcome"];
        /// Events written to the inbox: `new` or `duplicate`.
        inbox_events: counters = "inbox_events_total" ["result"];
        /// Number of events per inbox commit.
        inbox_batch_events: sizes = "inbox_batch_events";
        /// Duration of an inbox commit.
        inbox_batch_seconds: seconds = "inbox_batch_seconds";
        /// Webhooks waiting for their commit.
        inbox_waiting: gauge = "inbox_waiting";
        /// Events that are taken in later, for their account or subaccount has used up its budget.
        events_deferred: counter = "events_deferred_total";
        /// Duration of REST calls by route and status.
        http_seconds: seconds_by = "http_seconds" ["route", "status"];
        /// REST calls refused with 401 or 403, by reason.
        http_refused: counters = "http_refused_total" ["status", "reason"];
        /// Whether the canary's last message was answered.
        canary_ok: gauges = "canary_ok" ["account"];
        /// How long the canary's last message took.
        canary_seconds: float_gauges = "canary_seconds" ["account"];
        /// The canary's messages by result.
        canary_runs: counters = "canary_runs_total" ["result"];
    }
    Worker {
        /// Accounts and subaccounts that have used up their budget of turns, and whether the installation has.
        turn_budgets_used_up: gauges = "turn_budgets_used_up" ["scope"];
        /// Ingested events by final state.
        ingested: counters = "ingested_total" ["state"];
        /// Jobs by outcome and failure class.
        jobs: counters = "jobs_total" ["kind", "outcome", "class"];
        /// Duration of a job.
        job_seconds: seconds_by = "job_seconds" ["kind"];
        /// Time from pushing a job to its start.
        job_pickup_seconds: seconds_by = "job_pickup_seconds" ["kind"];
        /// Jobs in progress.
        jobs_running: gauges = "jobs_running" ["kind"];
        /// Maximum number of jobs in progress.
        job_slots: gauges = "job_slots" ["kind"];
        /// Time from the webhook to Graph's acceptance of the reply.
        reply_seconds: seconds = "reply_seconds";
        /// Time from the webhook to Graph's acceptance of the reply, by stage.
        reply_stage_seconds: seconds_by = "reply_stage_seconds" ["stage"];
        /// Time from the agent's answer to Graph's acceptance of it.
        answer_to_sent_seconds: seconds = "answer_to_sent_seconds";
        /// Replies of the agent that will not be sent.
        replies_failed: counters = "replies_failed_total" ["class"];
        /// Messages accepted by Graph, by author.
        messages_sent: counters = "messages_sent_total" ["author"];
        /// Reconciled calls by service and result.
        reconciliations: counters = "reconciliations_total" ["service", "result"];
        /// Work rescued from workers that died.
        leases_rescued: counter = "leases_rescued_total";
        /// Work dispatched by the poller.
        sweep_claimed: counters = "sweep_claimed_total" ["kind"];
        /// Services for which this process is the leader.
        leader: gauges = "leader" ["service"];
        /// Failed ticks of services.
        service_errors: counters = "service_errors_total" ["service"];
        /// Today's messages, turns and questions of the subaccounts that use most, counted by the leader.
        usage_today: gauges = "usage_today" ["subaccount", "what"];
        /// Messages that no webhook had brought, by why they were looked for.
        backfill_messages: counters = "backfill_messages_total" ["reason"];
        /// Conversations that were compared with Meta's, by whether Meta could show them.
        backfill_threads: counters = "backfill_threads_total" ["result"];
        /// Open incidents by kind, counted by the leader.
        incidents: gauges = "incidents" ["kind"];
        /// Attempts to deliver notifications, by channel and result: `delivered`, `retry`, `failed`, `test`.
        notifications: counters = "notifications_total" ["channel", "result"];
        /// Comments that a rule answers, by what became of the private reply: `replied`, `failed`, `unknown`, `skipped`.
        comments: counters = "comments_total" ["result"];
        /// Attempts to fetch media of customers, by result: `stored`, `retry`, `expired`, `failed`; and those `deleted` from the store.
        media: counters = "media_total" ["result"];
        /// Media of customers that were to be put into words, by Meta's word for their kind.
        understood: counters = "media_understood_total" ["kind", "result"];
        /// Renewals of access tokens.
        token_refreshes: counters = "token_refreshes_total" ["result"];
        /// Time from when a customer wrote, by Meta's timestamp, to the arrival of the webhook.
        event_lateness_seconds: long = "event_lateness_seconds";
    }
    Leader {
        /// Jobs waiting in a queue.
        queue_depth: gauges = "queue_depth" ["queue"];
        /// Age of the oldest due work.
        oldest_due_seconds: float_gauges = "oldest_due_seconds" ["kind"];
        /// Open dead letters.
        dead_letters: gauges = "dead_letters" ["class"];
        /// Connections by state.
        connections: gauges = "connections" ["status"];
        /// Connected accounts whose agent is paused.
        accounts_paused: gauge = "accounts_paused";
        /// Connected accounts without recent events.
        accounts_silent: gauge = "accounts_silent";
        /// Circuit breakers that are open, or whose service has not answered a probe yet, by cause.
        circuit_breakers_open: gauges = "circuit_breakers_open" ["breaker", "cause"];
        /// Accounts that somebody must do something for.
        account_needs: gauges = "account_needs" ["subaccount", "account", "username", "need"];
        /// Connections in use by check and what was found.
        connection_checks: gauges = "connection_checks" ["check", "state"];
        /// Pauses by call, scope, and who set them.
        pauses: gauges = "pauses" ["call", "scope", "by"];
        /// Access tokens by remaining lifetime.
        tokens: gauges = "tokens" ["left"];
        /// Days until the first access token expires.
        token_days_left_min: float_gauge = "token_days_left_min";
        /// Secrets in the database, by whether the current key encrypts them.
        sealed_secrets: gauges = "sealed_secrets" ["key"];
        /// Time since the longest-waiting customer wrote, by stage.
        oldest_unanswered_seconds: float_gauges = "oldest_unanswered_seconds" ["stage"];
        /// Conversations whose customer waits for an answer, by stage.
        conversations_waiting: gauges = "conversations_waiting" ["stage"];
        /// Conversations whose customer has waited for longer than UNANSWERED_AFTER, by stage.
        conversations_late: gauges = "conversations_late" ["stage"];
        /// Time that the erasure which was due first has not been done.
        oldest_erasure_seconds: float_gauge = "oldest_erasure_seconds";
        /// Size of the database.
        database_bytes: gauge = "database_bytes";
        /// Bytes that the database may grow to, by DATABASE_CAPACITY_BYTES; 0 if not told.
        database_capacity_bytes: gauge = "database_capacity_bytes";
    }
}
