//! Accepts connections and serves a router on them, like `axum::serve`, with what that lacks: a request's head must
//! arrive in time, and there are only so many connections. Without, a client that sends its head slowly holds a
//! connection for ever, and enough of them hold all that the process can have.

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The limits of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenerOptions {
    /// How long a request's head may take, from the connection or from the answer before it: also how long a
    /// connection may be idle.
    pub(crate) header_timeout: Duration,
    /// The most connections at a time. More wait in the system's backlog until one ends.
    pub(crate) connections: u32,
}

/// How long to wait where no connection can be accepted: there are no more files, and one must be closed first.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long a client may take none of what it is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a connection in memory, but for what handlers keep: the longest head (longer: 431).
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stop` is cancelled and every started request has been answered.
///
/// # Errors
/// None once it has begun: what goes wrong with one connection ends that one.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerOptions,
    stop: CancellationToken,
) -> Result<()> {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(BUFFER_BYTES_MAX);
    // Its layers are built once, not for each request.
    let router: Router = router.with_state(());
    let places = Arc::new(Semaphore::new(usize::try_from(limits.connections).map_err(Error::other)?));
    loop {
        let accepted = tokio::select! {
            // When both are true it ends.
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted?,
        };
        tokio::spawn(attend(http.clone(), accepted, router.clone(), stop.clone()));
    }
    // From here on the system refuses new ones, and those in its backlog.
    drop(listener);
    // With every place free nobody is connected.
    places.acquire_many(limits.connections).await.map(drop).map_err(Error::other)
}

/// A connection, and the place it takes.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Result<Accepted> {
    let place = places.clone().acquire_owned().await.map_err(Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok(Accepted { stream, peer, place }),
            Err(err) if is_of_the_client(&err) => {}
            Err(err) => {
                tracing::error!(error = %err, "no connection can be accepted, it is tried again in a second");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// The client went before it was accepted: the next one may be there already.
fn is_of_the_client(err: &Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// Serves one connection until it is closed, or until `stop` and its request is answered.
async fn attend(http: Builder, accepted: Accepted, router: Router, stop: CancellationToken) {
    let Accepted { stream, peer, place } = accepted;
    if let Err(err) = stream.set_nodelay(true) {
        tracing::debug!(error = %err, "TCP_NODELAY not set");
    }
    let service = router.into_service().map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    // A client that does not read its answer holds neither it nor a place for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = TokioIo::new(Box::pin(stream));
    let mut connection = pin!(http.serve_connection(stream, TowerToHyperService::new(service)));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            // Closes an idle one, and any other after its answer.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(err) = served {
        tracing::debug!(error = %err, "a connection ended early");
    }
    drop(place);
}

#[cfg(test)]
mod tests;
