//! Waiting for a condition, with a deadline.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Polls until there is a result; after `within`, fails and names what was awaited.
///
/// # Errors
/// If the time is over, or polling fails.
pub async fn until<T, F>(what: &str, within: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("{what}: not within {within:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
