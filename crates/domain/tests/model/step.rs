//! The steps of a history.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// An event in a history. Numbers choose among the options available at that moment, so every history can be
/// run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The customer writes.
    Write,
    /// The customer unsends one of their last messages.
    TakeBack(u8),
    /// A human writes in the Instagram app: new text, or the text that is queued or being sent.
    App {
        same_words: bool,
    },
    /// A human writes through the API.
    Send,
    /// A human takes over the chat, or releases it, through the API.
    TakeOver {
        until_released: bool,
    },
    Release,
    /// The business pauses the agent in all chats, or resumes it.
    Pause(bool),
    /// A pending webhook arrives, or an earlier one is redelivered.
    Deliver(u8),
    Redeliver(u8),
    /// A worker performs one of its tasks; a call ends like this.
    Work {
        task: u8,
        end: End,
    },
    /// A worker dies between two steps.
    Crash(u8),
    /// The response to the next commit is lost.
    LoseCommit,
    /// The poller looks for what is due.
    Poll,
    /// Time passes.
    Wait(u32),
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its response.
    Good,
    /// No connection.
    NoConnection,
    /// Rejected for now, without effect.
    Throttled,
    /// A server error, without effect.
    ErrorBefore,
    /// A server error, after the effect.
    ErrorAfter,
    /// No response and no effect.
    LostBefore,
    /// No response, after the effect.
    LostAfter,
    /// No response, and the effect happens later.
    LateEffect,
    /// Rejected permanently.
    Refused,
    /// The agent chat has ended.
    Ended,
}

const ENDS: [End; 9] = [
    End::NoConnection,
    End::Throttled,
    End::ErrorBefore,
    End::ErrorAfter,
    End::LostBefore,
    End::LostAfter,
    End::LateEffect,
    End::Refused,
    End::Ended,
];

/// The history for a seed.
pub(crate) fn history(seed: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let length = rng.random_range(5..60);
    // Some histories are calm, so that long ones make progress.
    let trouble = rng.random_range(0..40u32);
    (0..length).map(|_| step(&mut rng, trouble)).collect()
}

fn step(rng: &mut StdRng, trouble: u32) -> Step {
    let choice = rng.random_range(0..100u32);
    match choice {
        0..=13 => Step::Write,
        14..=15 => Step::TakeBack(rng.random()),
        16..=18 => Step::App { same_words: rng.random() },
        19..=20 => Step::Send,
        21 => Step::TakeOver { until_released: rng.random() },
        22..=23 => Step::Release,
        24 => Step::Pause(rng.random()),
        25..=40 => Step::Deliver(rng.random()),
        41..=42 => Step::Redeliver(rng.random()),
        43..=76 => {
            let bad = rng.random_range(0..100) < trouble;
            let end = if bad { ENDS[rng.random_range(0..ENDS.len())] } else { End::Good };
            Step::Work { task: rng.random(), end }
        }
        77..=78 if trouble > 10 => Step::Crash(rng.random()),
        79 if trouble > 10 => Step::LoseCommit,
        77..=90 => Step::Poll,
        _ => Step::Wait(match rng.random_range(0..20u32) {
            0 if rng.random_range(0..4u32) == 0 => 25 * 3_600_000,
            0 => 3_600_000,
            1..=8 => rng.random_range(4_000..60_000),
            _ => rng.random_range(1..5_000),
        }),
    }
}
