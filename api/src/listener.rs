//! Accepts connections and serves a router on them, like `axum::serve`, with two additional limits: a
//! request's head must arrive in time, and the number of connections is bounded. Otherwise a client that
//! sends its head slowly would hold a connection for ever, and enough of them would exhaust the process.

use crate::limit::network;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The limits of a listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerOptions {
    /// Timeout of the first request's head.
    pub(crate) first_header_timeout: Duration,
    /// Timeout of a request's head, counted from the connection or the previous response; also the idle
    /// timeout.
    pub(crate) header_timeout: Duration,
    /// Maximum number of connections of one peer at a time; further ones are closed.
    pub(crate) per_peer: u32,
    /// Peers without that limit: proxies, through which many clients come.
    pub(crate) trusted: Vec<IpNet>,
    /// Maximum number of connections at a time. More wait in the system's backlog until one ends.
    pub(crate) connections: u32,
}

/// Delay after `accept` fails because file descriptors are exhausted and one must be closed first.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Timeout of a write: how long a client may read nothing of its response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum memory per connection, apart from what handlers hold, and of a request head (longer: 431).
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stop` is cancelled and every started request has been answered.
///
/// # Errors
/// Never after it has started: an error on one connection ends only that connection.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerOptions,
    stop: CancellationToken,
) -> Result<()> {
    let mut http = Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(BUFFER_BYTES_MAX);
    // The layers are built once, not per request.
    let router: Router = router.with_state(());
    let places = Arc::new(Semaphore::new(usize::try_from(limits.connections).map_err(Error::other)?));
    let peers = Peers::default();
    loop {
        let accepted = tokio::select! {
            // `biased`: if both are ready, stop wins.
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted?,
        };
        let Some(of_peer) = peers.admit(accepted.peer.ip(), &limits) else {
            tracing::debug!(peer = %accepted.peer, "connection closed: its peer has too many");
            continue;
        };
        let attended =
            attend(http.clone(), (accepted, limits.first_header_timeout), router.clone(), stop.clone());
        tokio::spawn(async move {
            attended.await;
            drop(of_peer);
        });
    }
    // From here on the system refuses new connections, including those in its backlog.
    drop(listener);
    // Once all permits are free, no client is connected.
    places.acquire_many(limits.connections).await.map(drop).map_err(Error::other)
}

/// A connection and its permit.
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
                tracing::error!(error = %err, "cannot accept connections; retrying in a second");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// The client left before it was accepted: the next one may be waiting already.
fn is_of_the_client(err: &Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// The connections of each peer.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A connection that counts for its peer until it is dropped.
struct OfPeer(Peers, Option<IpAddr>);

impl Peers {
    /// Counts a connection; `None` if its peer has too many.
    fn admit(&self, peer: IpAddr, limits: &ListenerOptions) -> Option<OfPeer> {
        if limits.trusted.iter().any(|network| network.contains(&peer.to_canonical())) {
            return Some(OfPeer(self.clone(), None));
        }
        let peer = network(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        (*count < limits.per_peer).then(|| {
            *count += 1;
            OfPeer(self.clone(), Some(peer))
        })
    }
}

impl Drop for OfPeer {
    fn drop(&mut self) {
        let Some(peer) = self.1 else { return };
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&peer);
            }
        }
    }
}

/// Serves one connection until it is closed, or until `stop` and the end of its request.
async fn attend(
    http: Builder,
    (accepted, first_header_timeout): (Accepted, Duration),
    router: Router,
    stop: CancellationToken,
) {
    let Accepted { stream, peer, place } = accepted;
    let begun = Arc::new(AtomicBool::new(false));
    let begins = begun.clone();
    if let Err(err) = stream.set_nodelay(true) {
        tracing::debug!(error = %err, "TCP_NODELAY not set");
    }
    let service = router.into_service().map_request(move |mut request: Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    // A client that does not read its response must not hold the connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = TokioIo::new(Box::pin(stream));
    let mut connection = pin!(http.serve_connection(stream, TowerToHyperService::new(service)));
    // hyper has one timeout for all heads, and later ones may be long in coming.
    let nothing_came = async {
        tokio::time::sleep(first_header_timeout).await;
        if begun.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = nothing_came => {
            tracing::debug!(%peer, "connection closed: no request came");
            return;
        }
        () = stop.cancelled() => {
            // Closes an idle connection now, any other after its response.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(err) = served {
        tracing::debug!(error = %err, "connection ended early");
    }
    drop(place);
}

#[cfg(test)]
mod tests;
