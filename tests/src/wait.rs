//! Waiting for a condition, with a deadline.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Asks again and again until the answer is there; an error that says what was waited for once `within` is over.
///
/// # Errors
/// When time is over, or asking fails.
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
