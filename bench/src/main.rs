//! The load run: the release builds of api and worker on a PostgreSQL and a Redis of their own, with simulated
//! Meta and Retell, held against the least that any server with the same promise would have to do.

mod args;
mod broadcast;
mod console;
mod counts;
mod floor;
mod generator;
mod http;
mod machine;
mod peer;
mod pipeline;
mod process;
mod progress;
mod report;
mod run;
mod scale;
mod servers;
mod stack;
mod usage;
mod webhook;

use anyhow::Context;
use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = tokio::select! {
        outcome = work(args) => outcome,
        // What was started ends with the future above, which is dropped here.
        outcome = interrupted() => outcome,
    };
    match outcome {
        Ok(code) => code,
        Err(err) => {
            eprintln!("dmrelay-bench: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn work(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(Command::Floor(floor)) => floor::serve(floor).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Scale(scale)) => scale::run(scale).await,
        Some(Command::Broadcast(broadcast)) => broadcast::run(broadcast).await,
        Some(Command::Console(console)) => console::run(console).await,
        None => run::run(args.load).await,
    }
}

async fn interrupted() -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.context("Ctrl-C cannot be waited for")?,
        _ = terminate.recv() => {}
    }
    eprintln!("interrupted, everything that was started is ended");
    Ok(ExitCode::from(130))
}
