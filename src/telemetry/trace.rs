//! The trace that a review is part of, by the header `traceparent` (W3C Trace Context): its id stands in all log lines of the review.
//! With the feature `otlp`, spans are sent to a collector (`telemetry::otlp`). A review that comes without the header costs nothing.

use http::HeaderMap;
use tracing::{Span, field::Empty};

use super::metrics::Verdict;

/// The header, in lower case as HTTP/2 has it.
pub const HEADER: &str = "traceparent";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent<'h> {
    /// The trace: 32 hexadecimal digits.
    pub trace: &'h str,
    /// The span that asks us: 16 of them.
    pub span: &'h str,
    /// Whether whoever asks records it.
    pub is_sampled: bool,
}

impl<'h> Parent<'h> {
    /// Reads the header; `None` if it is not of the form that the recommendation gives it. Of a later version what is known is read.
    pub fn read(text: &'h str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let mut part = |length: usize| parts.next().filter(|part| part.len() == length && is_hex(part));
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_exact = version != "00" || parts.next().is_none();
        let is_some = |id: &str| id.bytes().any(|digit| digit != b'0');
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (version != "ff" && is_exact && is_some(trace) && is_some(span)).then_some(Self { trace, span, is_sampled })
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The span of a review under this path; none if its request belongs to no trace. It is there at every level, so that warnings have
/// the id of the trace, too.
pub fn span(headers: &HeaderMap, hook: &'static str) -> Span {
    let parent = headers.get(HEADER).and_then(|header| Parent::read(header.to_str().ok()?));
    let Some(parent) = parent else { return Span::none() };
    let span = tracing::error_span!("review", trace_id = parent.trace, hook, verdict = Empty, reason = Empty);
    #[cfg(feature = "otlp")]
    super::otlp::follow(&span, parent);
    span
}

/// A part of the present review that takes time of its own, as `make` makes it; none outside of a trace.
pub fn part(make: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() { Span::none() } else { make() }
}

/// Says in the span of the present review how it was answered.
pub fn answered(verdict: Verdict, reason: &'static str) {
    let span = Span::current();
    if !span.is_none() {
        span.record("verdict", verdict.word()).record("reason", reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let of = |text: &str| Parent::read(text).map(|parent| (parent.trace.to_owned(), parent.span.to_owned(), parent.is_sampled));
        let span = "00f067aa0ba902b7";
        for (text, sampled) in [
            (format!("00-{TRACE}-{span}-01"), true),
            (format!("00-{TRACE}-{span}-00"), false),
            (format!("00-{TRACE}-{span}-03"), true),
            (format!("cc-{TRACE}-{span}-01-what-comes-later"), true),
            (format!("cc-{TRACE}-{span}-01"), true),
        ] {
            assert_eq!(of(&text), Some((TRACE.to_owned(), span.to_owned(), sampled)), "{text}");
        }
        for text in [
            String::new(),
            format!("ff-{TRACE}-{span}-01"),
            format!("00-{TRACE}-{span}-01-more"),
            format!("00-{TRACE}-{span}-1"),
            format!("00-{TRACE}-{span}"),
            format!("00-{}-{span}-01", TRACE.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", "\u{e9}".repeat(16)),
            format!("0-{TRACE}-{span}-01"),
        ] {
            assert_eq!(of(&text), None, "{text}");
        }
    }

    #[test]
    fn a_review_without_a_trace_has_no_span() {
        assert!(span(&HeaderMap::new(), "/a").is_none());
        let broken = HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), http::HeaderValue::from_static("00-1-2-3"))]);
        assert!(span(&broken, "/a").is_none());
    }
}
