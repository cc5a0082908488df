//! What can be asked of the load run.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum, value_parser};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The maximum of WORKER_CONCURRENCY.
pub(crate) const MOST_CONCURRENCY: u16 = 1_000;

/// Conversations in flight with two workers, and WORKER_CONCURRENCY of each.
pub(crate) const OF_TWO_WORKERS: u16 = 256;

/// Users who write while calls fail.
pub(crate) const FAULT_USERS: u32 = 40;

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
    /// Count what one answered message costs, and how that changes with workers, accounts and the size of the tables.
    /// Counts hardly depend on the build or on what else the machine does; times do.
    Scale(Scale),
    /// Send a broadcast to many customers: how much longer others wait for answers meanwhile, and whether everybody gets it once although
    /// all workers are killed again and again.
    Broadcast(Broadcast),
    /// Open many chats, and measure the console: its pages against the same with few chats, and how soon a message is shown.
    Console(Console),
    /// Serve the floor.
    #[command(hide = true)]
    Floor(Floor),
}

/// What to count, and on how much.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Scale {
    /// Messages that are counted in each stage, after one of each user that is not.
    #[arg(long, default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// Users who write them.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(1..=10_000))]
    pub(crate) users: u16,
    /// How many of them write at a time.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=1_000))]
    pub(crate) at_once: u16,
    /// Workers, where there are several.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u16).range(1..=12))]
    pub(crate) workers: u16,
    /// Accounts, where there are several.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u16).range(2..=1_000))]
    pub(crate) accounts: u16,
    /// Accounts without a message that are added at the end.
    #[arg(long, default_value_t = 9_900)]
    pub(crate) quiet_accounts: u64,
    /// Chats that are there already, of the stages with a history.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = value_parser!(u64).range(1_000..=1_000_000))]
    pub(crate) chats: Vec<u64>,
    /// Turns that are due at once when the poller is measured.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) backlog: u32,
    /// Seconds of each look at an idle system.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(11..=600))]
    pub(crate) idle_seconds: u64,
    /// Stages to run, by number, e.g. 1,2; all if not given.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<usize>,
    /// WORKER_CONCURRENCY of each worker.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=i64::from(MOST_CONCURRENCY)))]
    pub(crate) worker_concurrency: u16,
    /// Parameters of DATABASE_URL, e.g. statement-cache-capacity=1000.
    #[arg(long, default_value = "")]
    pub(crate) url_parameters: String,
    /// Where the databases are made; the system's temporary folder if not given. A million chats take some 5 GB.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// A broadcast, and those who write meanwhile.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Broadcast {
    /// Customers who get it, and write nothing else.
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) chats: u32,
    /// Messages of it a minute.
    #[arg(long, default_value_t = 6_000, value_parser = value_parser!(u32).range(1..=6_000_000))]
    pub(crate) per_minute: u32,
    /// Messages of it that may be on their way at a time: BROADCAST_IN_FLIGHT.
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) in_flight: u32,
    /// Customers who write meanwhile.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) users: u32,
    /// Messages a second that they write.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=1_000))]
    pub(crate) rate: u32,
    /// Seconds for which answers are measured, without the broadcast and beside it.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// Seconds until all workers are killed, once answers are measured, and from then on each time.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) kill_seconds: u64,
    /// Workers.
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u16).range(1..=12))]
    pub(crate) workers: u16,
    /// Milliseconds the agent takes to answer.
    #[arg(long, default_value_t = 50)]
    pub(crate) agent_latency_ms: u64,
    /// WORKER_CONCURRENCY of each worker.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=i64::from(MOST_CONCURRENCY)))]
    pub(crate) worker_concurrency: u16,
    /// Where the databases are made; the system's temporary folder if not given.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// A console with many chats.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Console {
    /// Chats of the account.
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(100..=1_000_000))]
    pub(crate) chats: u32,
    /// Calls of each page.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) calls: u32,
    /// Messages that are watched live.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) messages: u32,
    /// WORKER_CONCURRENCY of the worker.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=i64::from(MOST_CONCURRENCY)))]
    pub(crate) worker_concurrency: u16,
    /// Where the databases are made; the system's temporary folder if not given.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// How much load, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct Load {
    /// Seconds in which acknowledgements are counted, of each run.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// Keep-alive connections that post webhooks, each its next one when the last is answered.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u16).range(1..=1_024))]
    pub(crate) connections: u16,
    /// How often floor and API are measured in turn.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(3..=100))]
    pub(crate) pairs: u16,
    /// Conversations in flight in each saturation run, one per user, who writes again once answered.
    #[arg(long, value_delimiter = ',', default_value = "64,256,1024", value_parser = value_parser!(u16).range(1..=10_000))]
    pub(crate) in_flight: Vec<u16>,
    /// Messages of each saturation run.
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) messages: u32,
    /// Messages a second, of each steady run.
    #[arg(long, value_delimiter = ',', default_value = "4,100,400,800", value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) rates: Vec<u32>,
    /// Seconds of each steady run.
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(1..=600))]
    pub(crate) steady_seconds: u64,
    /// Users who write in the steady runs.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) users: u32,
    /// Milliseconds the agent takes to answer in the steady runs and beside faults; at saturation it takes none.
    #[arg(long, default_value_t = 50)]
    pub(crate) agent_latency_ms: u64,
    /// Messages a second while calls fail.
    #[arg(long, default_value_t = 40, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) fault_rate: u32,
    /// Seconds in which messages are written while calls fail.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=3_600))]
    pub(crate) fault_seconds: u64,
    /// WORKER_CONCURRENCY where it does not follow from the conversations in flight.
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..=i64::from(MOST_CONCURRENCY)))]
    pub(crate) worker_concurrency: u16,
    /// Phases to run; all if not given.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Phase>,
    /// Where the databases are made; a folder on the disk that is to be measured. The system's temporary
    /// folder if not given.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

/// What can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// Acknowledgements: the floor, the API, and the API beside the worker.
    Acks,
    /// As many answers as can be, by dmrelay and by the peer.
    Saturation,
    /// The same with two workers.
    Workers,
    /// So many messages a second.
    Steady,
    /// Messages while calls fail.
    Faults,
}

impl Load {
    /// Whether this phase is to be run.
    pub(crate) fn runs(&self, phase: Phase) -> bool {
        self.only.is_empty() || self.only.contains(&phase)
    }

    pub(crate) fn saturation(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        folder(self.dir.as_ref())
    }
}

impl Broadcast {
    pub(crate) fn folder(&self) -> PathBuf {
        folder(self.dir.as_ref())
    }
}

impl Console {
    pub(crate) fn folder(&self) -> PathBuf {
        folder(self.dir.as_ref())
    }
}

impl Scale {
    pub(crate) fn folder(&self) -> PathBuf {
        folder(self.dir.as_ref())
    }
}

fn folder(given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(std::env::temp_dir)
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
