//! The operations port: metrics and health.

use crate::http::install_tls;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Returns what is not ready, if anything.
pub type Ready = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    ready: Ready,
    shutdown: CancellationToken,
    /// Whether the answer says what is not ready.
    names_cause: bool,
    /// What was last found, and when: whoever asks often costs nothing.
    last: Arc<Mutex<Option<Found>>>,
}

type Readiness = (StatusCode, String);

/// What a check found, and when.
type Found = (Instant, Result<(), String>);

/// Timeout of the readiness check.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long its outcome is told without another check.
const READINESS_KEPT: Duration = Duration::from_secs(1);

/// What every answer of every port carries, unless it has its own, so that no browser makes more of it (OWASP, "REST Security").
pub const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// `GET /livez`, `GET /readyz` and `GET /metrics`, for operators: `/readyz` says what is not ready.
pub fn router(metrics: Arc<Metrics>, ready: Ready, shutdown: CancellationToken) -> Router {
    let metrics = Router::new().route("/metrics", get(render)).with_state(metrics);
    metrics.merge(health_routes(ready, shutdown, true)).layer(map_response(secure))
}

async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// `GET /livez` and `GET /readyz` of a port that anyone may call: what is not ready is told to operators only.
pub fn health(ready: Ready, shutdown: CancellationToken) -> Router {
    health_routes(ready, shutdown, false)
}

fn health_routes(ready: Ready, shutdown: CancellationToken, names_cause: bool) -> Router {
    let ops = Ops { ready, shutdown, names_cause, last: Arc::default() };
    Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(readiness)).with_state(ops)
}

async fn render(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}

async fn readiness(State(ops): State<Ops>) -> Readiness {
    if ops.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    // One checks; who asks meanwhile waits for that one.
    let mut last = ops.last.lock().await;
    let found = match last.take().filter(|(at, _)| at.elapsed() < READINESS_KEPT) {
        Some(known) => known,
        None => (Instant::now(), check(&ops.ready).await),
    };
    let (_, found) = last.insert(found);
    match &*found {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(cause) if ops.names_cause => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {cause}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
    }
}

/// Whether the process is ready, by a check that ends in time.
pub(crate) async fn check(ready: &Ready) -> Result<(), String> {
    match tokio::time::timeout(READINESS_TIMEOUT, ready()).await {
        Ok(found) => found,
        Err(_) => Err(format!("the check took longer than {} s", READINESS_TIMEOUT.as_secs())),
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
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let told = answer.text().await.unwrap_or_default();
    Err(format!("{url}: {status}: {}", told.trim()))
}

/// Binds an address.
///
/// # Errors
/// Names the address and the problem.
pub async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|err| format!("{setting}: cannot listen on {address}: {err}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Process;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn whoever_asks_often_whether_it_is_ready_costs_one_check() {
        let checks = Arc::new(AtomicU32::new(0));
        let counted = checks.clone();
        let ready: Ready = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err("the database is away".to_owned())
            })
        });
        let ops = Ops { ready, shutdown: CancellationToken::new(), names_cause: true, last: Arc::default() };
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..100 {
            asked.spawn(readiness(State(ops.clone())));
        }
        let told = asked.join_all().await;
        assert!(
            told.iter().all(|told| *told
                == (StatusCode::SERVICE_UNAVAILABLE, "not ready: the database is away\n".to_owned()))
        );
        assert_eq!(checks.load(Ordering::Relaxed), 1);
        ops.shutdown.cancel();
        assert_eq!(readiness(State(ops)).await.1, "stopping\n");
    }

    #[tokio::test]
    async fn every_answer_of_the_operations_port_carries_the_security_headers()
    -> Result<(), Box<dyn std::error::Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let base = format!("http://{}", listener.local_addr()?);
        let ready: Ready = Arc::new(|| Box::pin(async { Ok(()) }));
        let app = router(Arc::new(Metrics::new(Process::Both)?), ready, CancellationToken::new());
        tokio::spawn(async move { axum::serve(listener, app).await });
        install_tls();
        let client = reqwest::Client::builder().no_proxy().build()?;
        for path in ["/metrics", "/livez", "/readyz", "/nothing"] {
            let answer = client.get(format!("{base}{path}")).send().await?;
            for (name, value) in SECURITY_HEADERS {
                let told = answer.headers().get(&name).and_then(|value| value.to_str().ok());
                assert_eq!(told, Some(value), "{path} {name}");
            }
        }
        Ok(())
    }
}
