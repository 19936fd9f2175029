//! Spans of reviews, sent to a collector over OTLP (HTTP, protobuf). Where it is, the usual variables say: `OTEL_EXPORTER_OTLP_ENDPOINT`
//! or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`; without them nothing is sent. Whether a review is recorded, whoever asks has decided.

use std::env;

use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

use super::trace::Parent;

/// Where a collector may be named.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// As what we are known there.
const SERVICE: &str = "outrigger";

/// Sends spans as long as it is kept; what waits is sent when it is dropped.
pub struct Exporter(SdkTracerProvider);

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "not all spans could be sent");
        }
    }
}

/// The layer that takes in spans, and what sends them; `None` if no collector is named, or it cannot be used.
pub fn start<S>() -> Option<(OpenTelemetryLayer<S, SdkTracer>, Exporter)>
where
    S: tracing::Subscriber + for<'s> LookupSpan<'s>,
{
    let is_named = ENDPOINTS.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let exporter = is_named.then(|| SpanExporter::builder().with_http().build())?;
    let exporter = exporter.inspect_err(|error| tracing::error!(%error, "spans cannot be sent")).ok()?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // What whoever asks does not record is not recorded here.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .with_resource(Resource::builder().with_service_name(SERVICE).build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE)).with_location(false).with_threads(false);
    Some((layer, Exporter(provider)))
}

/// Makes a span a part of the trace that the request belongs to.
pub fn follow(span: &Span, parent: Parent<'_>) {
    let (Ok(trace), Ok(id)) = (TraceId::from_hex(parent.trace), SpanId::from_hex(parent.span)) else { return };
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let context = SpanContext::new(trace, id, flags, true, TraceState::default());
    // Fails where no collector is named: then nothing is sent.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(context));
}
