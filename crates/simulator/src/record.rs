//! What reached the simulator, for tests to assert and for load runs to measure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::words::WordsCall;

/// Everything that reached the simulator since it started or was reset.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Calls by `service.operation`, whatever their result.
    pub calls: BTreeMap<&'static str, u64>,
    /// Accepted sends, oldest first. Empty if records are disabled.
    pub sends: Vec<Sent>,
    /// Number of accepted sends.
    pub send_count: u64,
    /// Accepted sender actions, oldest first.
    pub sender_actions: Vec<SenderAction>,
    /// Completions accepted by Retell, oldest first.
    pub completions: Vec<Completion>,
    /// Number of completions accepted by Retell.
    pub completion_count: u64,
    /// Completions that began while another of the same chat was in progress.
    pub overlaps: u64,
    /// Media that were put into words, oldest first.
    pub words: Vec<WordsCall>,
    /// Webhook POSTs by number. Empty if records are disabled.
    pub deliveries: BTreeMap<u64, Delivery>,
    /// Webhook POSTs queued or in progress.
    pub pending_deliveries: u64,
    /// Webhook POSTs acknowledged with 200.
    pub acknowledged: u64,
    /// Updates in those POSTs.
    pub updates_acknowledged: u64,
    /// Attempts not acknowledged with 200.
    pub failed_attempts: u64,
    /// Updates without a subscription or a target.
    pub undelivered_updates: u64,
    /// Time to the 200 of each acknowledged attempt.
    pub ack_latency: Latencies,
    /// Time from a customer's first unanswered message to the account's next send in its thread.
    pub reply_latency: Latencies,
}

/// A send accepted by the Graph API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The message id in the response and the echo.
    pub mid: String,
    /// The professional account that sent.
    pub account: String,
    /// The recipient (IGSID).
    pub user: String,
    /// The text, if any.
    pub text: Option<String>,
    /// The whole `message` object.
    pub message: Value,
    /// When, in milliseconds of the simulator's clock.
    pub at: i64,
    /// The message tag, if any.
    pub tag: Option<String>,
    /// The comment this is a private reply to.
    pub comment_id: Option<String>,
}

/// A sender action accepted by the Graph API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderAction {
    /// The professional account.
    pub account: String,
    /// The recipient (IGSID).
    pub user: String,
    /// `mark_seen`, `typing_on`, `typing_off`, `react` or `unreact`.
    pub action: String,
    /// The message of a reaction.
    pub mid: Option<String>,
    /// When, in milliseconds of the simulator's clock.
    pub at: i64,
}

/// A completion accepted by Retell: a user turn, and the answer generated for it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The chat.
    pub chat: String,
    /// Its agent.
    pub agent: String,
    /// What the user said.
    pub content: String,
    /// When it arrived, in milliseconds of the simulator's clock.
    pub at: i64,
    /// Whether another completion of the chat was in progress.
    pub overlapped: bool,
}

/// One webhook POST with all its attempts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// Its updates.
    pub updates: Vec<DeliveredUpdate>,
    /// When it was queued, in milliseconds of the simulator's clock.
    pub queued_at: i64,
    /// The result of each attempt.
    pub attempts: Vec<Attempt>,
    /// Acknowledged with 200.
    pub acknowledged: bool,
    /// No attempt follows.
    pub finished: bool,
    /// The bytes, as on the wire.
    pub body: String,
}

/// The subject of one update of a POST.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveredUpdate {
    /// The professional account.
    pub account: String,
    /// The customer, if any.
    pub user: Option<String>,
    /// The message id, if any.
    pub mid: Option<String>,
    /// The webhook field it belongs to.
    pub field: String,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When, in milliseconds of the simulator's clock.
    pub at: i64,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
    /// Its duration.
    pub latency_ms: u64,
}

/// Latencies in microseconds, with their percentiles.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn add_micros(&mut self, micros: u128) {
        self.0.push(u32::try_from(micros).unwrap_or(u32::MAX));
    }

    /// Number of measurements.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration in microseconds that `percent` of the measurements do not exceed.
    pub fn percentile_micros(&self, percent: usize) -> Option<u32> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(index).copied()
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).map(|micros| f64::from(*micros) / 1000.0)
        };
        serde_json::json!({
            "count": sorted.len(), "p50Ms": at(50), "p95Ms": at(95), "p99Ms": at(99), "maxMs": at(100),
        })
        .serialize(serializer)
    }
}

impl Record {
    pub(crate) fn count_call(&mut self, operation: &'static str) {
        *self.calls.entry(operation).or_default() += 1;
    }

    /// Resets the record, except for work in progress.
    pub(crate) fn clear(&mut self) {
        *self = Self { pending_deliveries: self.pending_deliveries, ..Self::default() };
    }

    /// Number of calls of an operation, e.g. `graph.send`.
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }

    /// The sends of one thread, oldest first.
    pub fn sends_to<'a>(&'a self, account: &'a str, user: &'a str) -> impl Iterator<Item = &'a Sent> {
        self.sends.iter().filter(move |sent| sent.account == account && sent.user == user)
    }

    /// Whether nothing is queued, in progress or waiting for another attempt.
    pub fn webhooks_idle(&self) -> bool {
        self.pending_deliveries == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_what_was_measured() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile_micros(50), None);
        (1..=100).for_each(|micros| latencies.add_micros(micros));
        assert_eq!(latencies.percentile_micros(50), Some(50));
        assert_eq!(latencies.percentile_micros(99), Some(99));
        assert_eq!(latencies.percentile_micros(100), Some(100));
    }
}
