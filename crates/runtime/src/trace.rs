//! Spans that belong to a trace of ours. Where spans are exported (feature `otlp`), they carry the trace id that
//! rows, jobs and log lines carry, and hang below the span that began it.

pub use dmrelay_domain::trace::{Parent, TraceId};
use tracing::Span;

/// The first span of a trace, made by `span`.
pub fn begin(trace: TraceId, span: impl FnOnce() -> Span) -> Span {
    #[cfg(feature = "otlp")]
    return crate::otlp::begin(trace, span);
    #[cfg(not(feature = "otlp"))]
    {
        // The span names the trace itself; there is nothing to export.
        let _ = trace;
        span()
    }
}

/// A span below that of a caller.
pub fn follow(span: Span, parent: Parent) -> Span {
    #[cfg(feature = "otlp")]
    crate::otlp::follow(&span, parent);
    #[cfg(not(feature = "otlp"))]
    let _ = parent;
    span
}

/// A later span of a trace, perhaps in another process, where the trace is known.
pub fn join(span: Span, trace: Option<TraceId>) -> Span {
    #[cfg(feature = "otlp")]
    crate::otlp::join(&span, trace);
    #[cfg(not(feature = "otlp"))]
    let _ = trace;
    span
}

/// The span of a piece of work in a trace: its name, and as fields what follows, above all the trace's id. Of level
/// error, so that lines of any level that is logged name their trace.
#[macro_export]
macro_rules! span_of {
    ($trace:expr, $name:literal $($fields:tt)*) => {{
        let trace: Option<$crate::trace::TraceId> = $trace;
        let shown = trace.map(tracing::field::display);
        $crate::trace::join(tracing::error_span!($name, trace_id = shown $($fields)*), trace)
    }};
}
