//! Ends a process in order: the first signal stops taking work, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels the returned token at the first SIGTERM or SIGINT; a second one ends the process with code 130.
///
/// # Errors
/// When the operating system refuses a signal handler.
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
                tracing::info!(signal = name, "stopping: no new work is taken, started work is finished");
                stop.cancel();
            } else {
                tracing::warn!(signal = name, "stopping at once");
                std::process::exit(130);
            }
        }
    });
    Ok(token)
}
