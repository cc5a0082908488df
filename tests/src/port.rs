//! Ports for the servers of one test.

use anyhow::Result;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;

/// A port that no other test uses, even while its server is down. Outside the kernel's ephemeral range, so
/// that no outgoing connection uses it either.
pub struct Port {
    /// The number.
    pub number: u16,
    _reserved: File,
}

impl Port {
    /// Reserves a port for as long as the value lives.
    pub fn reserve() -> Result<Self> {
        let dir = std::env::temp_dir().join("dmrelay-test-ports");
        fs::create_dir_all(&dir)?;
        for number in 21_000..32_000 {
            let mut file = File::options().create(true).append(true).open(dir.join(number.to_string()))?;
            if file.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                file.set_len(0)?;
                // For anyone who wonders what holds the port.
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { number, _reserved: file });
            }
        }
        anyhow::bail!("no port is free")
    }
}
