//! HTTP/1.1 on connections that are ours to hold: no pool stands between the load and the server.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A request with its whole body.
pub(crate) type Whole = Request<Full<Bytes>>;

/// A keep-alive connection: one request at a time.
pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the other half; what failed is told there.
        tokio::spawn(connection);
        Ok(Self { requests })
    }

    /// Sends a request; gives the answer as soon as it begins.
    pub(crate) async fn begin(&mut self, request: Whole) -> Result<Response<Incoming>> {
        self.requests.ready().await?;
        Ok(self.requests.send_request(request).await?)
    }

    /// Sends a request and reads the whole answer; gives its status and its body.
    pub(crate) async fn exchange(&mut self, request: Whole) -> Result<(u16, Bytes)> {
        let answer = self.begin(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// A call with a JSON body, on a connection of its own. Gives the status and the body.
pub(crate) async fn post(addr: SocketAddr, path: &str, key: &str, body: &str) -> Result<(u16, String)> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, addr.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.to_owned()))?;
    call(addr, request).await
}

/// The same without a body, with a key.
pub(crate) async fn get_as(addr: SocketAddr, path: &str, key: &str) -> Result<(u16, String)> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, addr.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::default())?;
    call(addr, request).await
}

/// A call without a body, on a connection of its own.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Result<(u16, String)> {
    let request = Request::builder().uri(path).header(header::HOST, addr.to_string()).body(Full::default())?;
    call(addr, request).await
}

async fn call(addr: SocketAddr, request: Whole) -> Result<(u16, String)> {
    let (status, body) = Connection::open(addr).await?.exchange(request).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
