//! The API binary.

use clap::Parser;
use dmrelay_api::Args;
use mimalloc::MiMalloc;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(dmrelay_api::run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("dmrelay-api: {err:#}");
            ExitCode::FAILURE
        }
    }
}
