//! Where the time of a reply goes.

/// A stage of a reply, in order; their durations add up to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the webhook's arrival until its commit begins.
    Inbox,
    /// Until the message is taken in.
    Pickup,
    /// Until the user has been quiet for long enough: the deliberate wait.
    Debounce,
    /// Until a worker asks the agent.
    Wait,
    /// Until the agent's answer is recorded.
    Agent,
    /// Until a worker sends it.
    Queue,
    /// Until Graph has accepted it.
    Send,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Inbox, Self::Pickup, Self::Debounce, Self::Wait, Self::Agent, Self::Queue, Self::Send];

    /// Its label.
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
    /// A stage of a reply took so many milliseconds of the database's clock.
    pub fn stage(&self, stage: Stage, millis: i64) {
        self.reply_stage_seconds.with_label_values(&[stage.as_str()]).observe(seconds(millis));
    }
}

/// Milliseconds as seconds; clocks that jump back count as no time.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a wait fit a float")]
pub fn seconds(millis: i64) -> f64 {
    millis.max(0) as f64 / 1_000.0
}
