//! The model test: generated histories of one conversation against small models of Meta, the agent and the database, with
//! the promises as invariants.
//!
//! `MODEL_SEED=7 cargo test -p dmrelay-domain --test model` plays one history and prints it. `MODEL_HISTORIES` says how
//! many are played, `MODEL_FIRST` from which seed on.

#![expect(clippy::unwrap_used, reason = "a test: a row that is missing is a failure")]

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

/// Plays a history to its end. Gives what was violated, and how it came to it.
fn play(steps: &[Step]) -> Result<(), String> {
    let mut world = World::new();
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

/// The shortest history that is found to fail like this one, by leaving steps out.
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

#[expect(clippy::disallowed_methods, reason = "the test's own knobs, which are no settings of the product")]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn every_history_keeps_the_promises() {
    if let Some(seed) = knob("MODEL_SEED") {
        let steps = history(seed);
        let outcome = play(&steps);
        println!("{steps:#?}");
        outcome.unwrap();
        return;
    }
    // Failures of single assertions are caught and told at the end.
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
