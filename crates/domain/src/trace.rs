//! Trace ids: everything caused by one webhook or call carries the same id, through rows, jobs, logs and
//! exported spans.

use std::fmt;
use uuid::Uuid;

/// A trace id: 16 bytes, not all zero, as in W3C's Trace Context (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(Uuid);

#[cfg(feature = "sea-orm")]
crate::column::uuid_column!(TraceId);

impl TraceId {
    /// A new random trace id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Its 16 bytes.
    pub fn to_uuid(self) -> Uuid {
        self.0
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        plain.then(|| Uuid::try_parse(text).ok()).flatten().filter(|id| !id.is_nil()).map(Self)
    }

    /// The span id of the trace's first span: the first half of the trace id, so that the trace id alone is
    /// enough to attach child spans to it.
    pub fn root(self) -> [u8; 8] {
        let mut root = [0; 8];
        root.copy_from_slice(&self.0.as_bytes()[..8]);
        // A span id must not be zero either.
        if root == [0; 8] { [1; 8] } else { root }
    }
}

/// A caller's span, the parent of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its trace id.
    pub trace: TraceId,
    /// Its span id.
    pub span: [u8; 8],
    /// Whether the caller exports it.
    pub sampled: bool,
}

impl Parent {
    /// Parses the header `traceparent`: `version-trace-parent-flags`, any version but `ff`, and nothing after
    /// version 00 (W3C Trace Context §3.2).
    pub fn from_header(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known =
            byte(version).is_some_and(|version| version != 0xff && (version != 0 || parts.next().is_none()));
        let mut bytes = [0; 8];
        for (byte_of, digits) in bytes.iter_mut().zip(span.as_bytes().chunks(2)) {
            *byte_of = byte(std::str::from_utf8(digits).ok()?)?;
        }
        let sampled = byte(flags)? & 1 == 1;
        let whole = known && span.len() == 16 && bytes != [0; 8];
        whole.then(|| TraceId::parse(trace)).flatten().map(|trace| Self { trace, span: bytes, sampled })
    }
}

/// Parses two lower-case hexadecimal digits.
fn byte(text: &str) -> Option<u8> {
    let plain = text.len() == 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_written_id_parses_back() {
        let trace = TraceId::random();
        assert_eq!(TraceId::parse(&trace.to_string()), Some(trace));
    }

    #[test]
    fn malformed_trace_ids_are_rejected() {
        let upper = TRACE.to_uppercase();
        for text in ["", "0", &"0".repeat(32), &upper, &TRACE[1..], "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"] {
            assert_eq!(TraceId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_header_of_w3c() {
        let read = |header: &str| Parent::from_header(header).map(|parent| parent.trace.to_string());
        let parent = "00f067aa0ba902b7";
        assert_eq!(read(&format!("00-{TRACE}-{parent}-01")).as_deref(), Some(TRACE));
        assert_eq!(read(&format!("cc-{TRACE}-{parent}-01-more")).as_deref(), Some(TRACE));
        let whole = Parent::from_header(&format!("00-{TRACE}-{parent}-01")).unwrap();
        assert_eq!((whole.span, whole.sampled), ([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7], true));
        let unsampled = Parent::from_header(&format!("00-{TRACE}-{parent}-00")).unwrap();
        assert!(!unsampled.sampled);
        for header in [
            format!("00-{TRACE}-{parent}00-01"),
            format!("ff-{TRACE}-{parent}-01"),
            format!("00-{TRACE}-{parent}-01-more"),
            format!("00-{TRACE}-{parent}"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{TRACE}-{parent}-0x"),
        ] {
            assert_eq!(read(&header), None, "{header}");
        }
    }

    #[test]
    fn the_first_span_follows_from_the_trace_id() {
        let trace = TraceId::parse(TRACE).unwrap();
        assert_eq!(trace.root(), [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6]);
    }
}
