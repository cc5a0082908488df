//! The steps of a history.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Something that happens. Numbers choose among what there is at that moment, so every history can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The customer writes.
    Write,
    /// The customer takes back one of their last messages.
    TakeBack(u8),
    /// A human writes in the Instagram app: something new, or the very words that wait or are being sent.
    App {
        same_words: bool,
    },
    /// A human writes through the API.
    Send,
    /// A human takes the chat over, or gives it back, through the API.
    TakeOver,
    Release,
    /// The business pauses the agent in all chats, or ends the pause.
    Pause(bool),
    /// One of the webhooks that wait arrives, or one that has arrived before does again.
    Deliver(u8),
    Redeliver(u8),
    /// A worker goes on with one of its tasks; a call ends like this.
    Work {
        task: u8,
        end: End,
    },
    /// A worker dies between two steps.
    Crash(u8),
    /// The database loses the answer to the next commit.
    LoseCommit,
    /// The poller looks for what is due.
    Poll,
    /// Time passes.
    Wait(u32),
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its answer.
    Good,
    /// Without a connection.
    NoConnection,
    /// Refused, without an effect, for now.
    Throttled,
    /// An error of the server, without an effect.
    ErrorBefore,
    /// An error of the server, after the effect.
    ErrorAfter,
    /// No answer and no effect.
    LostBefore,
    /// No answer, after the effect.
    LostAfter,
    /// No answer, and the effect comes later.
    LateEffect,
    /// Refused for good.
    Refused,
    /// The agent's chat has ended.
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

/// The history of a seed.
pub(crate) fn history(seed: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let length = rng.random_range(5..60);
    // Some histories are calm, so that long ones get somewhere.
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
        21 => Step::TakeOver,
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
