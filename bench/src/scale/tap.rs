//! Stands between a program and PostgreSQL, passes on every byte and counts.

use super::wire::{Session, Tally};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listener that passes on to the server; gone when dropped.
pub(super) struct Tap {
    addr: SocketAddr,
    counted: Counted,
    listener: JoinHandle<()>,
}

/// Connections whose commits wait for the disk, and those whose commits do not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Both {
    pub(super) waiting: Tally,
    pub(super) relaxed: Tally,
}

type Counted = Arc<Mutex<Both>>;

const BUFFER: usize = 64 * 1024;

impl Tap {
    pub(super) async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free")?;
        let addr = listener.local_addr()?;
        let counted = Counted::default();
        let shared = counted.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let counted = shared.clone();
                tokio::spawn(async move {
                    // A side that is gone ends the connection of the other: that is all there is to do.
                    let _ = pass(client, server, &counted).await;
                });
            }
        });
        Ok(Self { addr, counted, listener })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn counted(&self) -> Both {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, counted: &Counted) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut said, mut answered) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut session = Session::default();
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let bytes = &said[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                // Counted before it is passed on: the answer must not be counted first.
                session.client_says(bytes);
                note(&mut session, counted);
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                session.server_says(bytes);
                note(&mut session, counted);
                client.write_all(bytes).await?;
            }
        }
    }
}

fn note(session: &mut Session, counted: &Counted) {
    let mut both = counted.lock().unwrap_or_else(PoisonError::into_inner);
    let place = if session.relaxed { &mut both.relaxed } else { &mut both.waiting };
    *place = *place + session.take();
}
