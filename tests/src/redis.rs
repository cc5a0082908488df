//! The Redis of one test: on its own port, without persistence, stopped on drop.

use crate::port::Port;
use crate::tether::Tethered;
use anyhow::{Context, Result, ensure};
use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Timeout for a server to start.
const START: Duration = Duration::from_secs(20);

/// A running `redis-server`.
pub struct RedisServer {
    port: Port,
    dir: TempDir,
    process: Mutex<Option<Tethered>>,
}

impl RedisServer {
    /// Starts an empty server.
    pub fn start() -> Result<Self> {
        let found = Command::new("redis-server").arg("--version").output();
        ensure!(
            found.is_ok(),
            "redis-server was not found: `make test` installs it, or `apt-get install redis-server` does"
        );
        let dir = tempfile::tempdir().context("no directory for Redis")?;
        let server = Self { port: Port::reserve()?, dir, process: Mutex::new(None) };
        server.restart()?;
        Ok(server)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port.number)
    }

    /// A connection for inspection.
    pub fn connection(&self) -> Result<redis::Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    /// Flushes it.
    pub fn flush(&self) -> Result<()> {
        redis::cmd("FLUSHALL").exec(&mut self.connection()?)?;
        Ok(())
    }

    /// Kills it.
    pub fn kill(&self) -> Result<()> {
        self.process().take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Restarts it on the same port, empty.
    pub fn restart(&self) -> Result<()> {
        self.kill()?;
        let (port, dir) = (self.port.number.to_string(), self.dir.path().to_string_lossy().into_owned());
        let process = Tethered::start(&[
            "redis-server",
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
            "--dir",
            &dir,
        ])?;
        *self.process() = Some(process);
        self.wait_until_up()
    }

    fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            let up = self.connection().and_then(|mut conn| Ok(redis::cmd("PING").exec(&mut conn)?));
            match up {
                Ok(()) => return Ok(()),
                Err(error) => ensure!(Instant::now() < deadline, "redis-server does not answer: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Tethered>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
