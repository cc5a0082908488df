//! The content of a job: the name of a queue and the ids a handler needs to find its row.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The queues. Names must stay stable once released: processes of two versions share them, so a new kind of
/// job gets a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueName {
    /// Ingest an inbox event.
    Ingest,
    /// Ask the agent.
    Turn,
    /// Ask the agent again; a separate queue, so that a backlog of retries never delays first attempts.
    TurnRetry,
    /// Send replies.
    Deliver,
    /// Send replies again; separate for the same reason.
    DeliverRetry,
}

impl QueueName {
    /// All queues.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Turn, Self::TurnRetry, Self::Deliver, Self::DeliverRetry];

    /// The name on the wire and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Turn => "turn",
            Self::TurnRetry => "turn-retry",
            Self::Deliver => "deliver",
            Self::DeliverRetry => "deliver-retry",
        }
    }

    /// The kind of job: a first attempt and a retry are the same kind.
    pub fn job(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Turn | Self::TurnRetry => "turn",
            Self::Deliver | Self::DeliverRetry => "deliver",
        }
    }
}

/// One job. It contains only ids; its state is a row.
///
/// Serialized as JSON. Unknown fields are ignored, so that an older worker can read what a newer one pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its queue.
    pub queue: QueueName,
    /// The row concerned.
    pub id: Uuid,
    /// The deduplication key, e.g. `<event key>:<dispatch no>`.
    pub key: String,
    /// When it was pushed, in milliseconds since 1970: the start of the pickup latency.
    pub pushed_at_ms: i64,
    /// The trace it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job { queue: QueueName::TurnRetry, id: Uuid::nil(), key: "k:1".into(), pushed_at_ms: 7, trace: None }
    }

    /// Golden test: jobs pushed by older processes must stay readable.
    const STORED: &str =
        r#"{"queue":"turn-retry","id":"00000000-0000-0000-0000-000000000000","key":"k:1","pushed_at_ms":7}"#;

    #[test]
    fn the_stored_form_does_not_change() {
        assert_eq!(serde_json::to_string(&job()).unwrap(), STORED);
        assert_eq!(serde_json::from_str::<Job>(STORED).unwrap(), job());
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let newer = STORED.replace(r#""key""#, r#""colour":"red","key""#);
        assert_eq!(serde_json::from_str::<Job>(&newer).unwrap(), job());
    }

    #[test]
    fn names_match_the_serialized_form() {
        for name in QueueName::ALL {
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("{:?}", name.as_str()));
        }
    }
}
