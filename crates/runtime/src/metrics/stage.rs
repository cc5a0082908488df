//! The stages of a reply's latency.

/// A stage of a reply, in order; their durations add up to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the webhook's arrival to the start of its commit.
    Inbox,
    /// Until the message is ingested.
    Pickup,
    /// Until the debounce has passed: the deliberate wait.
    Debounce,
    /// Until a worker asks the agent.
    Wait,
    /// Until the agent's answer is recorded.
    Agent,
    /// Until a worker sends it.
    Queue,
    /// Until Graph accepts it.
    Send,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Inbox, Self::Pickup, Self::Debounce, Self::Wait, Self::Agent, Self::Queue, Self::Send];

    /// Its label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Pickup => "pickup",
            Self::Debounce => "debounce",
            Self::Wait => "wait",
            Self::Agent => "agent",
            Self::Queue => "queue",
            Self::Send => "send",
        }
    }
}

impl super::Metrics {
    /// Records the duration of a stage, in milliseconds of the database's clock.
    pub fn stage(&self, stage: Stage, millis: i64) {
        self.reply_stage_seconds.with_label_values(&[stage.as_str()]).observe(seconds(millis));
    }
}

/// Converts milliseconds to seconds; a clock that jumps back counts as zero.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a wait fit a float")]
pub fn seconds(millis: i64) -> f64 {
    millis.max(0) as f64 / 1_000.0
}
