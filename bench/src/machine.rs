//! Where the numbers were taken: without it they say little.

use crate::process::output;
use crate::servers::Servers;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Writes that are timed.
const SYNCS: usize = 100;

/// The machine and the versions, as lines of a list.
pub(crate) fn describe(servers: &Servers) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rust = output(Command::new("rustc").arg("--version")).unwrap_or_else(|_| "rustc unknown".to_owned());
    let folder = servers.folder();
    let kind = output(Command::new("stat").args(["-f", "-c", "%T"]).arg(folder));
    let synced = sync_time(folder).map_or_else(|| "?".to_owned(), |took| format!("{took:.0?}"));
    vec![
        format!(
            "{cores} cores ({}), shared by everything below; Linux {}",
            model.trim_matches([' ', '\t', ':']),
            kernel.trim()
        ),
        format!(
            "data on {}, where writing 8 KiB and fdatasync take {synced} (median of {SYNCS})",
            kind.unwrap_or_else(|_| "an unknown file system".to_owned())
        ),
        format!(
            "PostgreSQL {} (fsync=on, synchronous_commit=on), Redis {} (no persistence)",
            servers.postgres.version(),
            servers.redis.version()
        ),
        format!("dmrelay {}, {rust}, {} build", env!("CARGO_PKG_VERSION"), build()),
    ]
}

/// Only a release build is worth measuring.
pub(crate) fn build() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}

/// What a commit waits for at least.
fn sync_time(folder: &Path) -> Option<Duration> {
    let mut file = File::create(folder.join("sync")).ok()?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 8 * 1024]).ok()?;
        file.sync_data().ok()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(SYNCS / 2).copied()
}
