//! Orderly shutdown: the first signal stops taking new work, the second exits at once.

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
