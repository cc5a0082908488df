//! A process of the run: its log goes to a file, and it ends with its handle.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to be ready.
const START: Duration = Duration::from_secs(30);

/// How often it is asked whether it is.
const ASK: Duration = Duration::from_millis(20);

/// Lines of a log that are shown.
const SHOWN: usize = 5;

/// A running process, killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Bytes of its log when it was ready.
    prologue: usize,
}

impl Process {
    /// Starts it, with what it writes in `folder`.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let errors = file.try_clone().context("a file cannot be opened twice")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, log, prologue: 0 })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready`; an error, with the end of its log, if it ends before or is not ready in time.
    pub(crate) async fn wait_until<F>(&mut self, ready: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = Result<()>>,
    {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it was ready ({status}):\n{}", self.name, self.last_words());
            }
            match ready().await {
                Ok(()) => {
                    self.prologue =
                        fs::metadata(&self.log).map_or(0, |log| log.len().try_into().unwrap_or(0));
                    return Ok(());
                }
                Err(err) if Instant::now() >= deadline => {
                    bail!("{} is not ready after {START:?}: {err:#}\n{}", self.name, self.last_words());
                }
                Err(_) => tokio::time::sleep(ASK).await,
            }
        }
    }

    /// Whether it has ended within `patience`.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(ASK);
        }
        false
    }

    /// What it wrote since it was ready, in a few lines; nothing if it wrote nothing.
    pub(crate) fn complaints(&self) -> Option<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let since = text.get(self.prologue..).unwrap_or(&text);
        let lines: Vec<&str> = since.lines().filter(|line| !line.trim().is_empty()).collect();
        let shown = lines.iter().take(SHOWN).map(|line| format!("    {line}\n"));
        (!lines.is_empty())
            .then(|| format!("{} logged {} lines:\n{}", self.name, lines.len(), shown.collect::<String>()))
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell, should it fail.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now, all different.
pub(crate) fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for port in &mut ports {
        let listener = TcpListener::bind(*port).context("no port is free")?;
        *port = listener.local_addr()?;
        held.push(listener);
    }
    Ok(ports)
}

/// What a command prints, without the line end.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
