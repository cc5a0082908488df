//! Classification of failed calls. One pure table for Graph's codes (Meta, "Error codes" and "Send API
//! errors") and one for Retell's statuses (Retell's API reference).
//!
//! Graph's messages are localized and its HTTP statuses mostly undocumented, so its codes decide; a status
//! counts only if no code could be read.

use crate::states::words;

words!(
    /// What a failure means for the next step. The values are metric labels and columns of dead letters.
    FailureClass {
        /// Certainly without effect and likely to pass: retry later.
        Transient = "transient",
        /// May have taken effect: must be reconciled before a retry.
        Ambiguous = "ambiguous",
        /// Too many calls: the circuit breaker opens, no attempt is spent.
        Throttled = "throttled",
        /// The token is invalid: the connection waits for a reconnect.
        Reauth = "reauth",
        /// The account or the app lacks permission: the circuit breaker opens, an operator must look.
        Restricted = "restricted",
        /// The agent's provider rejects our key: the agent's circuit breaker opens.
        AgentRefused = "agent_refused",
        /// Meta's 24-hour window is closed.
        WindowClosed = "window_closed",
        /// The recipient, the thread or the agent chat is not available to us.
        Gone = "gone",
        /// The request is invalid: ours to fix.
        Invalid = "invalid",
        /// A bug in this program.
        Bug = "bug",
    }
);

impl FailureClass {
    /// Whether this class ends a job, which then becomes a dead letter.
    pub fn is_final(self) -> bool {
        matches!(self, Self::WindowClosed | Self::Gone | Self::Invalid | Self::Bug)
    }
}

/// Whether a call has side effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Safe to repeat.
    Read,
    /// A repeat would send or ask twice.
    Write,
}

impl Effect {
    /// The class of a call whose outcome is unknown.
    fn unknown(self) -> FailureClass {
        match self {
            Self::Read => FailureClass::Transient,
            Self::Write => FailureClass::Ambiguous,
        }
    }
}

/// How far a failed call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// No connection: the request was not sent.
    NotSent,
    /// Sent, followed by a timeout, a reset, or a malformed response.
    Lost,
    /// The service responded.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Graph's `error.code`.
        code: Option<i64>,
        /// Graph's `error.error_subcode`.
        subcode: Option<i64>,
        /// Graph's `error.is_transient`: it calls the error temporary.
        is_transient: bool,
    },
}

/// The class of a failed call to the Graph API.
pub fn graph(effect: Effect, wire: Wire) -> FailureClass {
    match wire {
        Wire::NotSent => FailureClass::Transient,
        Wire::Lost => effect.unknown(),
        Wire::Answered { status, code: None, .. } => match status {
            429 => FailureClass::Throttled,
            _ => effect.unknown(),
        },
        Wire::Answered { status, code: Some(code), subcode, is_transient } => {
            match graph_code(effect, status, code, subcode) {
                FailureClass::Throttled => FailureClass::Throttled,
                // Temporary by Graph's own word, whatever the code stands for otherwise (Meta, "Handling errors").
                _ if is_transient => effect.unknown(),
                class => class,
            }
        }
    }
}

fn graph_code(effect: Effect, status: u16, code: i64, subcode: Option<i64>) -> FailureClass {
    use FailureClass::{Gone, Invalid, Reauth, Restricted, Throttled, WindowClosed};
    match (code, subcode) {
        (190 | 102 | 0, _) | (10, Some(2_534_077)) => Reauth,
        (10, Some(2_534_022 | 2_018_278 | 2_018_065)) => WindowClosed,
        // The recipient is unreachable for us …
        (551 | 230 | 9_010 | 2_018_218 | 10_900 | 10_903 | 10_904, _)
        | (200, Some(1_545_041))
        | (10, Some(2_018_108))
        | (100, Some(2_534_014 | 2_018_001 | 2_018_218 | 2_534_025))
        // … or another app owns the thread.
        | (2_018_300 | 2_018_321, _)
        | (10, Some(2_018_300))
        | (100, Some(2_534_037)) => Gone,
        (4 | 17 | 32 | 341 | 613 | 80_001 | 80_002 | 80_006, _) => Throttled,
        (3 | 200 | 368 | 2_022 | 36_103, _)
        | (10, _)
        | (100, None | Some(2_534_013 | 2_534_029)) => Restricted,
        // "Temporary send message failure. Please try again later", and the subcode alone of the same.
        (1 | 2 | -1 | -2 | 1_200, _) | (100, Some(2_018_024)) => effect.unknown(),
        (100, _) => Invalid,
        _ => match status {
            429 => Throttled,
            500.. => effect.unknown(),
            _ => Invalid,
        },
    }
}

/// Code 100 without a subcode: Graph returns it on every call while the whole app is restricted, and also for
/// a malformed request. Only other sends can show which of the two it is.
pub fn is_bare_100(wire: Wire) -> bool {
    matches!(wire, Wire::Answered { code: Some(100), subcode: None, is_transient: false, .. })
}

/// The class of a failed call to Retell. An ended chat is [`FailureClass::Gone`], which Retell reports with
/// status 400 and the word "ended" in the message.
pub fn retell(effect: Effect, wire: Wire, message: &str) -> FailureClass {
    match wire {
        Wire::NotSent => FailureClass::Transient,
        Wire::Lost => effect.unknown(),
        Wire::Answered { status, .. } => match status {
            401..=403 => FailureClass::AgentRefused,
            404 | 422 => FailureClass::Gone,
            429 => FailureClass::Throttled,
            400 if message.to_ascii_lowercase().contains("ended") => FailureClass::Gone,
            400 | 405 | 413 | 415 => FailureClass::Invalid,
            _ => effect.unknown(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::FailureClass::*;
    use super::*;

    fn answered(status: u16, code: i64, subcode: Option<i64>) -> Wire {
        Wire::Answered { status, code: Some(code), subcode, is_transient: false }
    }

    #[test]
    fn graph_codes_of_a_write() {
        for (status, code, subcode, class) in [
            (403, 10, Some(2_534_022), WindowClosed),
            (400, 10, None, Restricted),
            (400, 190, Some(463), Reauth),
            (401, 190, None, Reauth),
            (400, 10, Some(2_534_077), Reauth),
            (400, 551, None, Gone),
            (400, 551, Some(1_545_041), Gone),
            (400, 200, Some(1_545_041), Gone),
            (400, 100, Some(2_534_014), Gone),
            (400, 10, Some(2_018_300), Gone),
            (400, 100, None, Restricted),
            (400, 368, None, Restricted),
            (403, 200, None, Restricted),
            (400, 4, None, Throttled),
            (400, 4, Some(2_018_354), Throttled),
            (400, 17, None, Throttled),
            (400, 32, None, Throttled),
            (400, 613, Some(2_534_040), Throttled),
            (400, 80_002, None, Throttled),
            (500, 1, None, Ambiguous),
            (500, 1, Some(1_357_046), Ambiguous),
            (500, 2, None, Ambiguous),
            (500, -1, None, Ambiguous),
            (500, -2, None, Ambiguous),
            (400, 100, Some(2_018_008), Invalid),
            (400, 100, Some(33), Invalid),
            (400, 77_777, None, Invalid),
            (400, 1_200, None, Ambiguous),
            (400, 1_200, Some(2_018_024), Ambiguous),
            (400, 200, Some(2_018_028), Restricted),
            (502, 77_777, None, Ambiguous),
            (429, 77_777, None, Throttled),
        ] {
            assert_eq!(graph(Effect::Write, answered(status, code, subcode)), class, "{code}/{subcode:?}");
        }
    }

    #[test]
    fn what_graph_calls_temporary_is_tried_again() {
        for (code, subcode) in
            [(100, Some(33)), (77_777, None), (551, None), (10, Some(2_534_022)), (190, None)]
        {
            let wire = Wire::Answered { status: 400, code: Some(code), subcode, is_transient: true };
            assert_eq!(graph(Effect::Write, wire), Ambiguous, "{code}");
            assert_eq!(graph(Effect::Read, wire), Transient, "{code}");
        }
        let throttled = Wire::Answered { status: 400, code: Some(4), subcode: None, is_transient: true };
        assert_eq!(graph(Effect::Write, throttled), Throttled);
        let bare = Wire::Answered { status: 400, code: Some(100), subcode: None, is_transient: true };
        assert!(!is_bare_100(bare));
    }

    #[test]
    fn without_a_code_the_effect_decides() {
        let html = |status| Wire::Answered { status, code: None, subcode: None, is_transient: false };
        assert_eq!(graph(Effect::Write, Wire::NotSent), Transient);
        assert_eq!(graph(Effect::Write, Wire::Lost), Ambiguous);
        assert_eq!(graph(Effect::Read, Wire::Lost), Transient);
        assert_eq!(graph(Effect::Write, html(502)), Ambiguous);
        assert_eq!(graph(Effect::Read, html(502)), Transient);
        assert_eq!(graph(Effect::Write, html(400)), Ambiguous);
        assert_eq!(graph(Effect::Write, html(429)), Throttled);
    }

    #[test]
    fn retell_statuses() {
        let wire = |status| Wire::Answered { status, code: None, subcode: None, is_transient: false };
        for (status, message, class) in [
            (400, "Chat already ended", Gone),
            (400, "Invalid request format", Invalid),
            (401, "", AgentRefused),
            (402, "Trial has ended, please add payment method.", AgentRefused),
            (403, "", AgentRefused),
            (404, "", Gone),
            (422, "Cannot find requested asset under given api key.", Gone),
            (429, "", Throttled),
            (500, "", Ambiguous),
            (502, "", Ambiguous),
            (409, "", Ambiguous),
        ] {
            assert_eq!(retell(Effect::Write, wire(status), message), class, "{status} {message}");
        }
        assert_eq!(retell(Effect::Read, wire(500), ""), Transient);
    }

    #[test]
    fn only_final_classes_end_a_job() {
        let last: Vec<_> = FailureClass::ALL.iter().filter(|class| class.is_final()).collect();
        assert_eq!(last, [&WindowClosed, &Gone, &Invalid, &Bug]);
    }
}
