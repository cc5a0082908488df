//! The single place that reads the time. Times that affect decisions come from the database's clock; this one
//! measures latencies and signs requests.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, as Meta and Retell send them and as every table stores them.
pub type Millis = i64;

/// A clock. Injected, so that tests can control it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the single place that reads the time")]
    fn now(&self) -> Millis {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
    }
}

/// Converts a duration to whole milliseconds, saturating.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Converts milliseconds to a duration; negative spans become zero.
pub fn duration(span: Millis) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}
