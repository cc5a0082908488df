//! Attacks that were made on the running system, against the real processes.

mod agents;
mod audit;
mod bodies;
mod connections;
mod flood;
mod provider_keys;
mod readers;
mod tenants;

use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A socket to the API, and what was written on it.
async fn socket(base: &str, written: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://")).await?;
    stream.write_all(written.as_bytes()).await?;
    Ok(stream)
}

/// The status that a socket is answered with, within a time.
async fn status(stream: &mut TcpStream, within: Duration) -> Result<u16> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(within, async {
        while !answer.windows(2).any(|end| end == b"\r\n") {
            let mut part = [0; 1_024];
            let length = stream.read(&mut part).await?;
            ensure!(length > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..length]);
        }
        Ok(())
    });
    read.await.context("no answer")??;
    let line = String::from_utf8_lossy(&answer);
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("no status in {line:?}"))
}
