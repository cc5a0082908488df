//! A network path to a server that can vanish, as when a host disappears silently and its successor responds
//! at the same address.

use anyhow::Result;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A TCP proxy, stopped on drop.
pub struct Proxy {
    address: SocketAddr,
    vanished: watch::Sender<u32>,
    gone: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Forwards connections to the server at this address.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let vanished = watch::Sender::new(0);
        let watched = vanished.subscribe();
        let gone = watch::Sender::new(false);
        let is_gone = gone.subscribe();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if *is_gone.borrow() {
                    // Accepted by the machine between, answered by nobody.
                    connections.spawn(hold(client));
                    continue;
                }
                connections.spawn(pass_on(client, server, watched.clone()));
            }
        });
        Ok(Self { address, vanished, gone, task })
    }

    /// The address clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server behind the existing connections vanishes: they return nothing, and are not closed. New
    /// connections reach its successor.
    pub fn vanish(&self) {
        self.vanished.send_modify(|times| *times += 1);
    }

    /// The server vanishes and has no successor: new connections return nothing, either.
    pub fn vanish_for_good(&self) {
        self.gone.send_replace(true);
        self.vanish();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(client: TcpStream, server: SocketAddr, mut vanished: watch::Receiver<u32>) {
    vanished.mark_unchanged();
    let Ok(upstream) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let mut changed = vanished.clone();
    tokio::select! {
        _ = async {
            tokio::join!(
                forward(&mut from_client, &mut to_server, &vanished),
                forward(&mut from_server, &mut to_client, &vanished),
            )
        } => {}
        _ = changed.changed() => {}
    }
    if has_vanished(&vanished) {
        drop((from_server, to_server));
        // The client's side stays open until the proxy ends.
        std::future::pending::<()>().await;
    }
}

/// Forwards until the end of the stream. What is read after the server vanished is not passed on, even if this
/// task has not been told yet.
async fn forward(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, vanished: &watch::Receiver<u32>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if has_vanished(vanished) || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // The other direction may go on.
    let _ = to.shutdown().await;
}

fn has_vanished(vanished: &watch::Receiver<u32>) -> bool {
    vanished.has_changed().unwrap_or(true)
}

async fn hold(client: TcpStream) {
    let _client = client;
    std::future::pending::<()>().await;
}
