//! The worker binary.

use clap::Parser;
use dmrelay_worker::Args;
use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match dmrelay_worker::run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("dmrelay-worker: {err:#}");
            ExitCode::FAILURE
        }
    }
}
