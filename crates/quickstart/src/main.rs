//! `cargo run`: dmrelay in one process with nothing to install. SQLite in a folder, an in-process queue, and
//! a simulated Meta and Retell; a simulated customer writes and is answered.

mod account;
mod demo;
mod embedded;
mod folder;

use anyhow::anyhow;
use clap::Parser;
use dmrelay_runtime::settings::{ApiSettings, LogSettings};
use dmrelay_runtime::{logs, shutdown};
use std::path::PathBuf;
use std::process::ExitCode;

/// dmrelay on one machine, with a simulated Meta and Retell.
#[derive(Debug, Parser)]
#[command(name = "dmrelay", version = dmrelay_runtime::version::TEXT)]
pub(crate) struct Args {
    /// The folder of the database and the keys.
    #[arg(long, env = "DMRELAY_DATA", default_value = "data")]
    data: PathBuf,
    /// Listen address of the simulated Meta and Retell.
    #[arg(long, env = "SIMULATOR_ADDR", default_value = "127.0.0.1:4010")]
    simulator_addr: std::net::SocketAddr,
    /// Exit after the first answer instead of continuing to serve.
    #[arg(long)]
    once: bool,
    /// Listeners and limits.
    #[command(flatten)]
    api: ApiSettings,
    /// Log filter.
    #[arg(long, env = "RUST_LOG", default_value = "warn")]
    rust_log: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Box::pin(run(Args::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("dmrelay: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    logs::init(&LogSettings::text(&args.rust_log), "dmrelay").map_err(|err| anyhow!(err))?;
    let stop = shutdown::on_signal()?;
    let system = Box::pin(embedded::start(&args, stop.clone())).await?;
    account::connect(&system).await?;
    demo::introduce(&system)?;
    let shown = tokio::select! {
        shown = demo::show_a_message_answered(&system) => shown,
        () = stop.cancelled() => Ok(()),
    };
    if args.once || shown.is_err() {
        stop.cancel();
    } else if !stop.is_cancelled() {
        demo::tell_how_to_go_on(&system).await?;
    }
    stop.cancelled().await;
    system.end().await?;
    shown
}
