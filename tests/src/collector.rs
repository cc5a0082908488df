//! A fake OpenTelemetry collector: it stores the spans it receives (OTLP over HTTP, protobuf).

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// An exported span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The process that created it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// Its parent; empty for a root span.
    pub parent: String,
    /// Its text attributes.
    pub attributes: BTreeMap<String, String>,
}

/// A running collector, stopped on drop.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Collector {
    /// Starts a collector.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start() -> Result<Self> {
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/v1/traces", post(take)).with_state(spans.clone());
        let server = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, spans, server })
    }

    /// The value of `OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The exported spans of one trace so far.
    pub fn spans(&self, trace: &str) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.iter().filter(|span| span.trace == trace).cloned().collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(spans): State<Arc<Mutex<Vec<Span>>>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut taken = Vec::new();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        let service = attributes.get("service.name").cloned().unwrap_or_default();
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            taken.push(Span {
                service: service.clone(),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                attributes: texts(span.attributes),
            });
        }
    }
    spans.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
    StatusCode::OK
}

fn texts(attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>) -> BTreeMap<String, String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let text = |value: Option<opentelemetry_proto::tonic::common::v1::AnyValue>| match value?.value? {
        Value::StringValue(text) => Some(text),
        _ => None,
    };
    attributes.into_iter().filter_map(|pair| Some((pair.key, text(pair.value)?))).collect()
}
