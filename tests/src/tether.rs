//! A server that is not ours, ended when the test's process is gone, however that ended.

use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};

/// Starts its arguments and ends them when standard input closes.
const TETHERED: &str = r#""$@" & read -r _; kill -9 $!; wait $!"#;

/// A running server.
pub struct Tethered(Child);

impl Tethered {
    /// Starts `command`, without output.
    ///
    /// # Errors
    /// When it cannot be started.
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

    /// Ends it where it stands, and waits until it is gone.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn kill(&mut self) -> Result<()> {
        drop(self.0.stdin.take());
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        // Nobody is left to tell, should it fail.
        let _ = self.kill();
    }
}
