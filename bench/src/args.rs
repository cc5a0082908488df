//! What can be asked of the load run.

use clap::{Args as ClapArgs, Parser, Subcommand, value_parser};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Measures the release builds of dmrelay-api and dmrelay-worker, and the floor they stand on.
#[derive(Debug, Parser)]
#[command(name = "dmrelay-bench", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: Load,
}

/// Processes of the load run's own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the floor.
    #[command(hide = true)]
    Floor(Floor),
}

/// How much load, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Load {
    /// Seconds of each saturation run.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Keep-alive connections that post webhooks, each its next one when the last is answered.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=1_024))]
    pub(crate) connections: u16,
    /// How often floor and API are measured in turn.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(3..=100))]
    pub(crate) pairs: u16,
    /// Messages of the throughput run.
    #[arg(long, default_value_t = 3_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// Users who write; in the throughput run each writes again when answered.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) users: u32,
    /// Messages a second of the steady run.
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// Seconds of the steady run.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) steady_seconds: u64,
    /// Milliseconds the agent takes to answer in the steady run; in the throughput run it takes none.
    #[arg(long, default_value_t = 50)]
    pub(crate) agent_latency_ms: u64,
    /// WORKER_CONCURRENCY of the worker.
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u16).range(1..=1_000))]
    pub(crate) worker_concurrency: u16,
    /// Where the databases are made; a folder on the disk that is to be measured. The system's temporary
    /// folder if not given.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

impl Load {
    pub(crate) fn saturation(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// How the floor serves.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Floor {
    /// Where.
    #[arg(long)]
    pub(crate) addr: SocketAddr,
    /// The database it stores in; without one it stores nothing.
    #[arg(long)]
    pub(crate) database_url: Option<String>,
}
