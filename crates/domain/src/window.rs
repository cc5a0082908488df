//! Meta's messaging windows ("Messaging API": 24 hours from the user's last message; the `HUMAN_AGENT` tag
//! extends it to 7 days, for human agents' answers only).

use crate::clock::Millis;

const HOUR: Millis = 3_600_000;

/// How long after the user's last message a reply may be sent.
pub const STANDARD: Millis = 24 * HOUR;

/// How long a human agent may still answer, with the `HUMAN_AGENT` tag.
pub const HUMAN_AGENT: Millis = 7 * 24 * HOUR;

/// When the window opened by a user's event at `at` (Meta's timestamp) closes. A timestamp in the future
/// (clock skew) counts as `now`.
pub fn expires(at: Millis, now: Millis) -> Millis {
    at.min(now).saturating_add(STANDARD)
}

/// Who may send at `now`, given when the standard window expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Anyone may reply.
    Open,
    /// Only a human agent may reply, with the `HUMAN_AGENT` tag.
    HumanAgent,
    /// No one may reply until the user writes again.
    Closed,
}

/// The window at `now`; `expires_at` is the result of [`expires`] for the user's last event.
pub fn at(expires_at: Option<Millis>, now: Millis) -> Window {
    match expires_at {
        Some(end) if now < end => Window::Open,
        Some(end) if now < end - STANDARD + HUMAN_AGENT => Window::HumanAgent,
        _ => Window::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_a_day_after_the_users_message() {
        let end = expires(1_000, 5_000);
        assert_eq!(at(Some(end), 1_000 + STANDARD - 1), Window::Open);
        assert_eq!(at(Some(end), 1_000 + STANDARD), Window::HumanAgent);
        assert_eq!(at(Some(end), 1_000 + HUMAN_AGENT), Window::Closed);
        assert_eq!(at(None, 0), Window::Closed);
    }

    #[test]
    fn a_future_timestamp_does_not_extend_it() {
        assert_eq!(expires(9_000_000, 5_000), 5_000 + STANDARD);
    }
}
