//! Structured logs on standard error, as text or JSON lines; and optional export of spans to a collector.

mod limit;

use crate::settings::{LogFormat, LogSettings};
use limit::{Admission, Limit};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

/// Starts logging for the process, with the name `service`. Only the first call has an effect.
///
/// # Errors
/// If `RUST_LOG` does not parse, or spans cannot be exported as configured; the message names the problem.
pub fn init(settings: &LogSettings, service: &'static str) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(settings)?);
    let limit = Arc::new(Limit::new(settings.log_repeats_max));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match settings.log_format {
        // The innermost span names the trace.
        LogFormat::Json => {
            let json = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            json.with_writer(Lines { form: Form::Json, limit }).boxed()
        }
        LogFormat::Text => {
            let colors = std::io::stderr().is_terminal();
            let form = if colors { Form::Colors } else { Form::Plain };
            lines.with_ansi(colors).with_writer(Lines { form, limit }).boxed()
        }
    };
    let started = tracing_subscriber::registry()
        .with(export(settings, service)?)
        .with(lines.with_filter(filter))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging is already started");
        return Ok(());
    }
    let _ = FILTER.set(Box::new(move |new| handle.reload(new).map_err(|err| err.to_string())));
    Ok(())
}

/// Replaces the filter of the running process.
type Replace = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

static FILTER: OnceLock<Box<Replace>> = OnceLock::new();

/// What is logged, by the settings.
fn filter(settings: &LogSettings) -> Result<EnvFilter, String> {
    let (name, text) = match &settings.rust_log_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|err| format!("RUST_LOG_FILE: cannot read {}: {err}", path.display()))?;
            ("RUST_LOG_FILE", text.trim().to_owned())
        }
        None => ("RUST_LOG", settings.rust_log.clone()),
    };
    EnvFilter::try_new(text).map_err(|err| format!("{name}: {err}"))
}

/// Reads again what is to be logged.
///
/// # Errors
/// It does not parse, or its file cannot be read; then it stays as it was.
pub fn reload(settings: &LogSettings) -> Result<(), String> {
    let filter = filter(settings)?;
    FILTER.get().map_or(Ok(()), |replace| replace(filter))
}

/// Where lines go.
struct Lines {
    form: Form,
    limit: Arc<Limit>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OneLine;

    fn make_writer(&'a self) -> OneLine {
        OneLine { form: self.form, before: None, is_left_out: false }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> OneLine {
        let writer = self.make_writer();
        match self.limit.admit(line) {
            Admission::Written(0) => writer,
            Admission::Written(left_out) => {
                OneLine { before: Some(said(self.form, left_out, line)), ..writer }
            }
            Admission::LeftOut => OneLine { is_left_out: true, ..writer },
        }
    }
}

/// The line that says how many like the next one were left out.
fn said(form: Form, left_out: u32, line: &Metadata<'_>) -> String {
    let mut at = String::new();
    // A time that cannot be told is left out, too.
    let _ = SystemTime.format_time(&mut Writer::new(&mut at));
    let place = format!("{}:{}", line.file().unwrap_or_default(), line.line().unwrap_or_default());
    if form == Form::Json {
        let said = serde_json::json!({
            "timestamp": at, "level": "WARN", "message": "similar lines suppressed", "left_out": left_out,
            "place": place,
        });
        return format!("{said}\n");
    }
    format!("{at}  WARN similar lines suppressed left_out={left_out} place={place}\n")
}

/// Standard error, for one line at a time. Control characters are written as escapes: what a service or a customer has
/// written must not look like another line, nor command a terminal.
struct OneLine {
    form: Form,
    /// A line to write first.
    before: Option<String>,
    /// Nothing is written.
    is_left_out: bool,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// With colors, which begin with ESC.
    Colors,
    /// JSON, whose escapes have four digits.
    Json,
}

impl Write for OneLine {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.is_left_out {
            return Ok(line.len());
        }
        let mut stderr = std::io::stderr().lock();
        if let Some(before) = self.before.take() {
            stderr.write_all(before.as_bytes())?;
        }
        stderr.write_all(&one_line(line, self.form))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn one_line(line: &[u8], form: Form) -> Vec<u8> {
    let (line, end) = match line.split_last() {
        Some((b'\n', line)) => (line, &b"\n"[..]),
        _ => (line, &b""[..]),
    };
    let mut escaped = String::with_capacity(line.len());
    let line = String::from_utf8_lossy(line);
    for (at, c) in line.char_indices() {
        match c {
            '\u{1b}' if form == Form::Colors && is_color(&line[at + 1..]) => escaped.push(c),
            '\t' if form != Form::Json => escaped.push(c),
            _ if !c.is_control() => escaped.push(c),
            _ if form == Form::Json => escaped.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            _ => escaped.extend(c.escape_default()),
        }
    }
    [escaped.as_bytes(), end].concat()
}

/// Whether what follows an ESC only changes the color: other commands move the cursor or erase.
fn is_color(rest: &str) -> bool {
    let rest =
        rest.strip_prefix('[').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    rest.is_some_and(|rest| rest.starts_with('m'))
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
    use super::{Form, one_line};

    #[test]
    fn no_text_looks_like_another_line() {
        let line = |text: &str, form| String::from_utf8(one_line(text.as_bytes(), form)).unwrap();
        assert_eq!(line("a\r\nERROR forged\n", Form::Plain), "a\\r\\nERROR forged\n");
        assert_eq!(line("a\tb \u{1b}[2J\u{9b}1m\u{0}\n", Form::Plain), "a\tb \\u{1b}[2J\\u{9b}1m\\u{0}\n");
        assert_eq!(line("\u{1b}[32m INFO\u{1b}[0m ä 👋\n", Form::Colors), "\u{1b}[32m INFO\u{1b}[0m ä 👋\n");
        assert_eq!(
            line("\u{1b}[1A\u{1b}[2K\u{1b}[1;31mx\n", Form::Colors),
            "\\u{1b}[1A\\u{1b}[2K\u{1b}[1;31mx\n"
        );
        assert_eq!(line("{\"a\":\"\u{9b}1m\u{7f}\"}\n", Form::Json), "{\"a\":\"\\u009b1m\\u007f\"}\n");
    }
}
