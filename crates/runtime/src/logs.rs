//! Structured logs on standard error, as text or JSON lines; and optional export of spans to a collector.

use crate::settings::{LogFormat, LogSettings};
use std::io::{IsTerminal, Write};
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
        LogFormat::Text => {
            let colors = std::io::stderr().is_terminal();
            lines.with_ansi(colors).with_writer(move || OneLine { colors }).boxed()
        }
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

/// Standard error, for one line at a time. Control characters are written as escapes: what a service or a customer has
/// written must not look like another line, nor command a terminal.
struct OneLine {
    /// Whether the line has colors, which begin with ESC.
    colors: bool,
}

impl Write for OneLine {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(&one_line(line, self.colors))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn one_line(line: &[u8], colors: bool) -> Vec<u8> {
    let (line, end) = match line.split_last() {
        Some((b'\n', line)) => (line, &b"\n"[..]),
        _ => (line, &b""[..]),
    };
    let mut escaped = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        let is_kept = !c.is_control() || c == '\t' || (c == '\u{1b}' && colors);
        if is_kept { escaped.push(c) } else { escaped.extend(c.escape_default()) }
    }
    [escaped.as_bytes(), end].concat()
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

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn no_text_looks_like_another_line() {
        let line = |text: &str, colors| String::from_utf8(one_line(text.as_bytes(), colors)).unwrap();
        assert_eq!(line("a\r\nERROR forged\n", false), "a\\r\\nERROR forged\n");
        assert_eq!(line("a\tb \u{1b}[2J\u{9b}1m\u{0}\n", false), "a\tb \\u{1b}[2J\\u{9b}1m\\u{0}\n");
        assert_eq!(line("\u{1b}[32m INFO\u{1b}[0m ä 👋\n", true), "\u{1b}[32m INFO\u{1b}[0m ä 👋\n");
    }
}
