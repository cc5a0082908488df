//! The model test: generated histories of one conversation against small models of Meta, the agent and the
//! database, with the guarantees as invariants.
//!
//! `MODEL_SEED=7 cargo test -p dmrelay-domain --test model` runs one history and prints it. `MODEL_HISTORIES`
//! sets the number of histories, `MODEL_FIRST` the first seed.

#![expect(clippy::unwrap_used, reason = "a test: a missing row is a failure")]

mod cases;
mod check;
mod database;
mod pinned;
mod services;
mod step;
mod task;
mod world;

use step::{Step, history};
use world::World;

/// Runs a history to its end. Returns the violated invariant and the log.
fn play(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new();
    if steps.len().is_multiple_of(2) {
        world.db.connection.settings.writing_ms_per_character = Some(50);
    }
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for step in steps {
            world.play(*step);
        }
        world.settle();
    }));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("{}\n{}", text.unwrap_or_default(), world.log.join("\n"))
    })
}

/// Shrinks a failing history by leaving out steps.
fn shrink(steps: Vec<Step>) -> Vec<Step> {
    let mut best = steps;
    let mut chunk = (best.len() / 2).max(1);
    loop {
        let mut start = 0;
        while start < best.len() {
            let mut shorter = best.clone();
            shorter.drain(start..(start + chunk).min(best.len()));
            if play(&shorter).is_err() {
                best = shorter;
            } else {
                start += chunk;
            }
        }
        if chunk == 1 {
            return best;
        }
        chunk /= 2;
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own options, not product settings")]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn every_history_upholds_the_guarantees() {
    if let Some(seed) = knob("MODEL_SEED") {
        let steps = history(seed);
        let outcome = play(&steps);
        println!("{steps:#?}");
        outcome.unwrap();
        return;
    }
    // Failures of single assertions are caught and reported at the end.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let first = knob("MODEL_FIRST").unwrap_or(0);
    let histories = knob("MODEL_HISTORIES").unwrap_or(12_000);
    let failed = (first..first + histories).find(|seed| play(&history(*seed)).is_err());
    let shrunk = failed.map(|seed| (seed, shrink(history(seed))));
    std::panic::set_hook(hook);
    if let Some((seed, steps)) = shrunk {
        let why = play(&steps).unwrap_err();
        panic!("seed {seed} fails; shortest: {steps:?}\n{why}");
    }
}
