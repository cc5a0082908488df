//! The operations port: metrics and health.

use crate::http::install_tls;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Returns what is not ready, if anything.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    ready: Ready,
    shutdown: CancellationToken,
}

/// Timeout of the readiness check.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);

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
    match tokio::time::timeout(READINESS_TIMEOUT, (ops.ready)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(what)) => {
            // Anyone may call this, so the reason goes only to the log.
            tracing::warn!(error = what, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned())
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: check timed out\n".to_owned()),
    }
}

/// Asks the process at `address` on this machine whether it is ready.
///
/// # Errors
/// Why it is not ready, or that it did not respond.
pub async fn probe(address: SocketAddr) -> Result<(), String> {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let url = format!("http://{}/readyz", SocketAddr::new(host, address.port()));
    install_tls();
    // Ignores the environment's proxy settings.
    let client = reqwest::Client::builder().timeout(READINESS_TIMEOUT * 2).no_proxy().build();
    let sent = client.map_err(|err| err.to_string())?.get(&url).send().await;
    let answer = sent.map_err(|err| format!("{url} does not respond: {}", err.without_url()))?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("{url}: {}", answer.status())) }
}

/// Binds an address.
///
/// # Errors
/// Names the address and the problem.
pub async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|err| format!("{setting}: cannot listen on {address}: {err}"))
}
