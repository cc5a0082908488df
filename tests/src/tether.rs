//! An external server that ends with the test process, however that ended.

use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};

/// Runs its arguments as a command and stops it when standard input closes.
const TETHERED: &str = r#""$@" & read -r _; kill -9 $!; wait $!"#;

/// A running server.
pub struct Tethered(Child);

impl Tethered {
    /// Starts `command`, without output.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn start(command: &[&str]) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", TETHERED, "sh"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} did not start", command.first().unwrap_or(&"")))?;
        Ok(Self(child))
    }

    /// Kills it, and waits until it has ended.
    ///
    /// # Errors
    /// If the operating system does not report it.
    pub fn kill(&mut self) -> Result<()> {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        // No one is left to report a failure to.
        let _ = self.kill();
    }
}
