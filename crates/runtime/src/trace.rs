//! Spans of our traces. If spans are exported (feature `otlp`), they carry the same trace id as rows, jobs
//! and log lines, and are children of the trace's first span.

pub use dmrelay_domain::trace::{Parent, TraceId};
use tracing::Span;

/// Creates the first span of a trace with `span`.
pub fn begin(trace: TraceId, span: impl FnOnce() -> Span) -> Span {
    #[cfg(feature = "otlp")]
    return crate::otlp::begin(trace, span);
    #[cfg(not(feature = "otlp"))]
    {
        // The span names the trace itself; nothing to export.
        let _ = trace;
        span()
    }
}

/// Makes a span the child of a caller's.
pub fn follow(span: Span, parent: Parent) -> Span {
    #[cfg(feature = "otlp")]
    crate::otlp::follow(&span, parent);
    #[cfg(not(feature = "otlp"))]
    let _ = parent;
    span
}

/// Marks a later span of a trace, possibly in another process that knows the trace.
pub fn join(span: Span, trace: Option<TraceId>) -> Span {
    #[cfg(feature = "otlp")]
    crate::otlp::join(&span, trace);
    #[cfg(not(feature = "otlp"))]
    let _ = trace;
    span
}

/// Creates the span of a unit of work: its name, then its fields, above all the trace id. At level error, so
/// that log lines of every level name their trace.
#[macro_export]
macro_rules! span_of {
    ($trace:expr, $name:literal $($fields:tt)*) => {{
        let trace: Option<$crate::trace::TraceId> = $trace;
        let shown = trace.map(tracing::field::display);
        $crate::trace::join(tracing::error_span!($name, trace_id = shown $($fields)*), trace)
    }};
}
