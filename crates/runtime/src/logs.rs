//! Structured logs on standard error, as text or JSON lines; and optional export of spans to a collector.

use crate::settings::{LogFormat, LogSettings};
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Starts logging for the process, with the name `service`. Only the first call has an effect.
///
/// # Errors
/// If `RUST_LOG` does not parse, or spans cannot be exported as configured; the message names the problem.
pub fn init(settings: &LogSettings, service: &'static str) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.rust_log).map_err(|err| format!("RUST_LOG: {err}"))?;
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match settings.log_format {
        // The innermost span names the trace.
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(export(settings, service)?)
        .with(lines.with_filter(filter))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging is already started");
    }
    Ok(())
}

/// The span exporter, if one is configured.
#[cfg(feature = "otlp")]
fn export<S>(settings: &LogSettings, service: &'static str) -> Result<Option<impl Layer<S>>, String>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    settings
        .otlp_endpoint
        .as_ref()
        .map(|endpoint| crate::otlp::layer(settings, endpoint, service))
        .transpose()
}

#[cfg(not(feature = "otlp"))]
fn export(
    settings: &LogSettings,
    _: &'static str,
) -> Result<Option<tracing_subscriber::layer::Identity>, String> {
    match &settings.otlp_endpoint {
        None => Ok(None),
        Some(_) => {
            Err("OTLP_ENDPOINT: this build cannot export spans; build it with --features otlp".to_owned())
        }
    }
}

/// Flushes spans to the collector. Called once, when the process ends.
pub async fn flush() {
    #[cfg(feature = "otlp")]
    let _ = tokio::task::spawn_blocking(crate::otlp::flush).await;
}
