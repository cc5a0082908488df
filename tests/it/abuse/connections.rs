//! Connections that hold places and ask for nothing.

use super::{socket, status};
use anyhow::Result;
use dmrelay_tests::cluster::Cluster;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A socket from this address of the machine itself.
async fn from(address: &str, base: &str, written: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{address}:0").parse()?)?;
    let mut stream = socket.connect(base.trim_start_matches("http://").parse()?).await?;
    stream.write_all(written.as_bytes()).await?;
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_cannot_hold_every_connection() -> Result<()> {
    let settings = [
        ("API_CONNECTIONS", "40"),
        ("API_CONNECTIONS_PER_ADDRESS", "20"),
        ("FIRST_HEADER_TIMEOUT", "4s"),
        ("HEADER_TIMEOUT", "65s"),
    ];
    let cluster = Cluster::start(&settings).await?;
    let base = cluster.rest.address();
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(socket(&base, "GET /livez HTTP/1.1\r\nho").await?);
    }
    // Another address gets through meanwhile, though this one has asked for more than there are.
    let mut other = from("127.0.0.2", &base, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    assert_eq!(status(&mut other, Duration::from_secs(2)).await?, 200);
    // What asks for nothing is closed after a few seconds, and this address may connect again.
    for stream in &mut silent {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut [0; 16])).await?;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    let mut served = socket(&base, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    assert_eq!(status(&mut served, Duration::from_secs(5)).await?, 200);
    Ok(())
}
