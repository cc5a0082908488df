//! A network path to a server that can vanish, as when a host disappears silently and its successor responds
//! at the same address.

use anyhow::Result;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
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

async fn pass_on(mut client: TcpStream, server: SocketAddr, mut vanished: watch::Receiver<u32>) {
    vanished.borrow_and_update();
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut upstream) => {}
        _ = vanished.changed() => {
            drop(upstream);
            // The client's side stays open until the proxy ends.
            std::future::pending::<()>().await;
        }
    }
}

async fn hold(client: TcpStream) {
    let _client = client;
    std::future::pending::<()>().await;
}
