//! Signals. Orderly shutdown: the first signal stops taking new work, the second exits at once. SIGHUP: settings that may change
//! while the process runs are read again.

use tokio::signal::unix::{SignalKind, signal};
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

/// Calls `reload` on every SIGHUP, until `stop`. It gives what was read; if it fails, everything must stay as it was.
///
/// # Errors
/// If the signal handler cannot be installed.
pub fn on_hangup<F>(stop: CancellationToken, reload: impl Fn() -> F + Send + 'static) -> std::io::Result<()>
where
    F: Future<Output = Result<String, String>> + Send,
{
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while stop.run_until_cancelled(hangup.recv()).await.flatten().is_some() {
            match reload().await {
                Ok(what) => tracing::info!(signal = "SIGHUP", "read again: {what}"),
                Err(why) => tracing::error!(
                    signal = "SIGHUP",
                    error = why,
                    "nothing is changed: a setting is invalid"
                ),
            }
        }
    });
    Ok(())
}
