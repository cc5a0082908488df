//! A client of Server-Sent Events.

use crate::rest::Rest;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::time::Duration;

/// Timeout for an event.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An open stream.
pub struct Stream {
    response: reqwest::Response,
    text: String,
    /// How much of the text has been read.
    read: usize,
}

impl Stream {
    /// Opens a stream, resuming after the event `last` if given.
    ///
    /// # Errors
    /// If the response is not a stream.
    pub async fn open(rest: &Rest, path: &str, last: Option<&str>) -> Result<Self> {
        let headers: Vec<(&str, &str)> = last.map(|last| ("last-event-id", last)).into_iter().collect();
        let response = rest.open("GET", path, &headers).await?;
        ensure!(response.status() == 200, "{}: {}", response.status(), response.text().await?);
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        ensure!(kind.is_some_and(|kind| kind.starts_with("text/event-stream")), "{kind:?}");
        Ok(Self { response, text: String::new(), read: 0 })
    }

    /// The data of the next event with this name; others are skipped.
    ///
    /// # Errors
    /// If none arrives in time, or the stream ends.
    pub async fn next(&mut self, name: &str) -> Result<Value> {
        loop {
            while let Some(event) = self.block() {
                let field = |field: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))
                        .map(str::to_owned)
                };
                if field("event").as_deref() == Some(name) {
                    let data: Value = serde_json::from_str(&field("data").context("no data")?)?;
                    ensure!(field("id").as_deref() == data["id"].as_str(), "{event}");
                    ensure!(data["type"].as_str() == Some(name), "{event}");
                    return Ok(data);
                }
            }
            let chunk = tokio::time::timeout(TIMEOUT, self.response.chunk()).await;
            match chunk.with_context(|| format!("no {name}; there was {}", self.text))?? {
                Some(bytes) => self.text.push_str(std::str::from_utf8(&bytes)?),
                None => bail!("the stream ended without {name}; there was {}", self.text),
            }
        }
    }

    /// Everything received so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Waits until the stream ends.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ended(mut self) -> Result<()> {
        let end = async {
            while self.response.chunk().await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(TIMEOUT, end).await.context("the stream goes on")?
    }

    fn block(&mut self) -> Option<String> {
        let rest = &self.text[self.read..];
        let end = rest.find("\n\n")?;
        let block = rest[..end].to_owned();
        self.read += end + 2;
        Some(block)
    }
}
