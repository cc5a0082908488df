//! Whether an account has been silent for too long, by its own usual traffic.

use crate::clock::Millis;

/// A day, in milliseconds.
const DAY: Millis = 86_400_000;

/// When silence is odd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// Never before so long, in milliseconds: nights are silent.
    pub least: Millis,
    /// So many messages must be missing that the account usually has in that time.
    pub missing: f64,
}

impl Silence {
    /// Whether this long without an event is odd for an account that has usually had so many messages a day.
    pub fn is_odd(self, silent: Millis, per_day: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of years are exact in a double")]
        let days = silent as f64 / DAY as f64;
        silent >= self.least && days * per_day >= self.missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_account_is_missed_sooner_than_a_quiet_one() {
        let silence = Silence { least: DAY / 2, missing: 30.0 };
        for (hours, per_day, is_odd) in [
            // Nights.
            (8, 10_000.0, false),
            (12, 100.0, true),
            (12, 50.0, false),
            (48, 20.0, true),
            (24 * 20, 1.0, false),
            (24 * 40, 1.0, true),
            (24 * 400, 0.0, false),
        ] {
            assert_eq!(silence.is_odd(hours * 3_600_000, per_day), is_odd, "{hours} h at {per_day} a day");
        }
    }
}
