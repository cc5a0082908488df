//! `admin doctor --from-running`: the settings are those of the processes that run on this machine, as their environment in `/proc` has
//! them (proc_pid_environ(5)).

use anyhow::{Context as _, bail, ensure};
use dmrelay_runtime::settings;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::{env, fs};

/// The processes whose settings are read. Of a setting that both have, the API's counts.
const PROCESSES: [&str; 2] = ["dmrelay-worker", "dmrelay-api"];

/// Which processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those of this user.
    Own,
    /// The one with this id.
    Process(u32),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "own" {
            return Ok(Self::Own);
        }
        text.parse().map(Self::Process).map_err(|_| format!("{text:?} is not the id of a process"))
    }
}

/// A process, and its environment.
struct Found {
    process: u32,
    environment: Vec<(OsString, OsString)>,
}

/// Runs the same command again with the settings of the running processes.
///
/// # Errors
/// There is none, their settings cannot be read, or the checks failed.
pub(super) fn examine(which: Which) -> anyhow::Result<()> {
    let mut variables = BTreeMap::new();
    let mut found = Vec::new();
    for name in PROCESSES {
        if let Some(Found { process, environment }) = running(name, which)? {
            found.push(format!("{name} (process {process})"));
            // Nothing else of it: whoever names a process so must not choose what runs here.
            variables.extend(environment.into_iter().filter(|(name, _)| is_setting(name)));
        }
    }
    if let (Which::Process(process), true) = (which, found.is_empty()) {
        bail!("process {process} is neither a dmrelay-api nor a dmrelay-worker");
    }
    ensure!(
        !found.is_empty(),
        "neither a dmrelay-api nor a dmrelay-worker of this user runs on this machine; name another user's with \
         --from-running=PID"
    );
    eprintln!("settings of {}", found.join(" and "));
    // This command has the port of neither, and logs as this shell says.
    for own in ["METRICS_ADDR", "RUST_LOG", "RUST_LOG_FILE"] {
        variables.remove(OsStr::new(own));
    }
    let arguments =
        env::args_os().skip(1).filter(|argument| !argument.as_bytes().starts_with(b"--from-running"));
    let program = env::current_exe().context("cannot find this program")?;
    let status = Command::new(program).args(arguments).env_clear().envs(variables).envs(shell()).status()?;
    if !status.success() {
        bail!("not everything is in order");
    }
    Ok(())
}

/// What the command needs of this shell: who runs it, and where programs are.
fn shell() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os()
        .filter(|(name, _)| matches!(name.to_str(), Some("PATH" | "HOME" | "LANG" | "RUST_LOG" | "TERM")))
}

/// A process of this name that serves, with its environment.
fn running(name: &str, which: Which) -> anyhow::Result<Option<Found>> {
    for entry in fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        // Without a process id only this user's own: another user's may be anything under that name.
        let is_wanted = match which {
            Which::Own => is_own(&entry.path()),
            Which::Process(process) => process == pid,
        };
        if is_wanted && pid != std::process::id() && serves(&entry.path(), name) {
            let environment = fs::read(entry.path().join("environ")).with_context(|| {
                format!(
                    "cannot read the settings of {name} (process {pid}): run this as its user, or as root"
                )
            })?;
            return Ok(Some(Found { process: pid, environment: read(&environment) }));
        }
    }
    Ok(None)
}

fn is_setting(name: &OsStr) -> bool {
    name.to_str().is_some_and(settings::is_setting)
}

/// Whether the process is of the same user as this one.
fn is_own(process: &Path) -> bool {
    let user = |path: &Path| fs::metadata(path).ok().map(|of| of.uid());
    user(process).is_some_and(|of| Some(of) == user(Path::new("/proc/self")))
}

/// Whether it is the program, and not one of its commands.
fn serves(process: &Path, name: &str) -> bool {
    let Ok(line) = fs::read(process.join("cmdline")) else { return false };
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().map(|program| Path::new(OsStr::from_bytes(program)).file_name());
    let runs_command = words.any(|word| matches!(word, b"admin" | b"migrate" | b"health" | b"openapi"));
    program == Some(Some(OsStr::new(name))) && !runs_command
}

fn read(environment: &[u8]) -> Vec<(OsString, OsString)> {
    let variable = |text: &[u8]| {
        let at = text.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (OsStr::from_bytes(&text[..at]), OsStr::from_bytes(&text[at + 1..]));
        Some((name.to_owned(), value.to_owned()))
    };
    environment.split(|byte| *byte == 0).filter_map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_as_the_kernel_writes_it() {
        let found = read(b"A=1\0B=x=y\0\0C=");
        let found: Vec<(&str, &str)> =
            found.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?))).collect();
        assert_eq!(found, [("A", "1"), ("B", "x=y"), ("C", "")]);
    }
}
