//! The operators' port: metrics and health.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Says what is not ready, if anything is.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    ready: Ready,
    shutdown: CancellationToken,
}

/// The longest readiness may take to be found out.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /livez`, `GET /readyz` and `GET /metrics`.
pub fn router(metrics: Arc<Metrics>, ready: Ready, shutdown: CancellationToken) -> Router {
    let metrics = Router::new().route("/metrics", get(render)).with_state(metrics);
    metrics.merge(health(ready, shutdown))
}

/// `GET /livez` and `GET /readyz`.
pub fn health(ready: Ready, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .with_state(Ops { ready, shutdown })
}

async fn render(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}

async fn readiness(State(ops): State<Ops>) -> (StatusCode, String) {
    if ops.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match tokio::time::timeout(PATIENCE, (ops.ready)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(what)) => {
            // Anybody may ask: what is wrong is the log's.
            tracing::warn!(error = what, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: no answer in time\n".to_owned()),
    }
}

/// Binds an address.
///
/// # Errors
/// A sentence that names the address and what is wrong with it.
pub async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|err| format!("{setting}: {address} cannot be listened on: {err}"))
}
