//! Signals. Orderly shutdown: the first signal stops taking new work, the second exits at once. SIGHUP: settings that may change
//! while the process runs are read again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the returned token on the first SIGTERM or SIGINT; a second one exits with code 130.
///
/// # Errors
/// If a signal handler cannot be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = token.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                tracing::info!(signal = name, "shutting down: finishing started work");
                stop.cancel();
            } else {
                tracing::warn!(signal = name, "shutting down at once");
                std::process::exit(130);
            }
        }
    });
    Ok(token)
}

/// SIGHUP, from when it is made: before, it would end the process.
pub struct Hangup(Signal);

impl Hangup {
    /// Waits for the signal from now on.
    ///
    /// # Errors
    /// If the signal handler cannot be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Calls `reload` on every SIGHUP, until `stop`. It gives what was read; if it fails, everything must stay as it was.
    pub fn on_each<F>(mut self, stop: CancellationToken, reload: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = Result<String, String>> + Send,
    {
        tokio::spawn(async move {
            while stop.run_until_cancelled(self.0.recv()).await.flatten().is_some() {
                match reload().await {
                    Ok(what) => tracing::info!(signal = "SIGHUP", "settings reloaded: {what}"),
                    Err(why) => {
                        tracing::error!(
                            signal = "SIGHUP",
                            error = why,
                            "settings not reloaded; nothing is changed"
                        );
                    }
                }
            }
        });
    }
}
