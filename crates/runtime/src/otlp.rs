//! Exports spans to an OpenTelemetry collector, by OTLP over HTTP
//! (<https://opentelemetry.io/docs/specs/otlp/>). A span has the same trace id as rows, jobs and log lines,
//! so that one search finds all of them.

use crate::http::install_tls;
use crate::settings::LogSettings;
use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use dmrelay_domain::trace::{Parent, TraceId};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId as ExportedId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracerProvider};
use std::cell::Cell;
use std::sync::OnceLock;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;
use url::Url;

/// The span exporter, retained so that the last spans can be flushed before the process ends.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

thread_local! {
    /// The trace whose first span this thread is creating.
    static FIRST: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// The layer that exports the spans of `service` to `endpoint`.
///
/// # Errors
/// Why the layer cannot be created.
pub(crate) fn layer<S>(
    settings: &LogSettings,
    endpoint: &Url,
    service: &'static str,
) -> Result<impl Layer<S>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let address = crate::http::join(endpoint, &["v1", "traces"]);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(settings)?)
        .with_endpoint(address.as_str())
        .with_timeout(settings.otlp_timeout)
        .build()
        .map_err(|err| format!("OTLP_ENDPOINT: {err}"))?;
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", crate::version::NUMBER))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .with_id_generator(Ids::default())
        // Sampled by trace id only, so that all processes keep or drop the same traces.
        .with_sampler(Sampler::TraceIdRatioBased(settings.otlp_sample))
        .build();
    let tracer = provider.tracer("dmrelay");
    let _ = PROVIDER.set(provider);
    // Our own spans only: library spans do not belong into a message's trace.
    let ours = Targets::new().with_target("dmrelay", LevelFilter::INFO);
    Ok(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours))
}

/// Flushes pending spans. Blocks until done or until the exporter's timeout.
pub(crate) fn flush() {
    let Some(provider) = PROVIDER.get() else { return };
    if let Err(err) = provider.shutdown() {
        tracing::warn!(error = %err, "cannot export the last spans");
    }
}

/// Creates the first span of a trace, with the trace's own ids.
pub(crate) fn begin(trace: TraceId, span: impl FnOnce() -> Span) -> Span {
    FIRST.set(Some(trace));
    let span = span();
    // Requesting its context assigns the ids.
    let _ = span.context();
    FIRST.set(None);
    span
}

/// Makes a span the child of a caller's.
pub(crate) fn follow(span: &Span, parent: Parent) {
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, above) = (exported(parent.trace), SpanId::from_bytes(parent.span));
    let caller = SpanContext::new(trace, above, flags, true, TraceState::NONE);
    // Fails if the span is not exported, in which case it needs no parent.
    let _ = span.set_parent(Context::new().with_remote_span_context(caller));
}

/// Makes a span the child of its trace's first one, unless it already has a parent in that trace.
pub(crate) fn join(span: &Span, trace: Option<TraceId>) {
    let Some(trace) = trace else { return };
    if Span::current().context().span().span_context().trace_id() != exported(trace) {
        follow(span, Parent { trace, span: trace.root(), sampled: true });
    }
}

fn exported(trace: TraceId) -> ExportedId {
    ExportedId::from_bytes(*trace.to_uuid().as_bytes())
}

/// Random ids, except for the first span of a trace.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> ExportedId {
        FIRST.get().map_or_else(|| self.0.new_trace_id(), exported)
    }

    fn new_span_id(&self) -> SpanId {
        FIRST.get().map_or_else(|| self.0.new_span_id(), |trace| SpanId::from_bytes(trace.root()))
    }
}

/// Sends spans with the process's HTTP client, on its runtime.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

impl Collector {
    fn new(settings: &LogSettings) -> Result<Self, String> {
        install_tls();
        let client = reqwest::Client::builder()
            .timeout(settings.otlp_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|err| format!("OTLP_ENDPOINT: {err}"))?;
        Ok(Self { client, runtime: tokio::runtime::Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let call = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        // The exporter runs on its own thread, without a runtime.
        let answer = self.runtime.spawn(async move {
            let answer = client.execute(call).await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.bytes().await?))
        });
        let (status, body) = answer.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}
