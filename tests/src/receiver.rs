//! Receivers of notifications: of webhooks, and of e-mails.

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A webhook that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The path it came to.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub raw: Bytes,
    /// Its body as JSON.
    pub body: Value,
}

impl Received {
    /// The text of a header; empty if missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// How many of its signatures are of this secret, by the test's own reckoning.
    ///
    /// # Errors
    /// If the secret has another form.
    pub fn signatures_of(&self, secret: &str) -> Result<usize> {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").context("no whsec_")?)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        for part in [self.header("webhook-id"), ".", self.header("webhook-timestamp"), "."] {
            mac.update(part.as_bytes());
        }
        mac.update(&self.raw);
        let wanted = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        Ok(self.header("webhook-signature").split(' ').filter(|one| **one == wanted).count())
    }
}

#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Answer(u16),
    Hang,
}

struct Inner {
    received: Vec<Received>,
    behaviour: Behaviour,
    retry_after: Option<u32>,
}

/// A receiver of webhooks, stopped on drop.
pub struct Receiver {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that answers with 200.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start() -> Result<Self> {
        let inner = Inner { received: Vec::new(), behaviour: Behaviour::Answer(200), retry_after: None };
        let inner = Arc::new(Mutex::new(inner));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(take).with_state(inner.clone());
        let server = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, inner, server })
    }

    /// Its URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.lock().behaviour = Behaviour::Answer(status);
    }

    /// Names this many seconds in `Retry-After` from now on.
    pub fn ask_for(&self, seconds: u32) {
        self.lock().retry_after = Some(seconds);
    }

    /// Takes webhooks and never answers from now on.
    pub fn hang(&self) {
        self.lock().behaviour = Behaviour::Hang;
    }

    /// What came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// What came to this path, in order.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|one| one.path == path).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    raw: Bytes,
) -> impl IntoResponse {
    let (behaviour, retry_after) = {
        let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        let body = serde_json::from_slice(&raw).unwrap_or_default();
        inner.received.push(Received { path: uri.path().to_owned(), headers, raw, body });
        (inner.behaviour, inner.retry_after)
    };
    match behaviour {
        Behaviour::Answer(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = HeaderMap::new();
            if let Some(seconds) = retry_after {
                answer.insert("retry-after", seconds.into());
            }
            // More than a client should read.
            (status, answer, "x".repeat(200_000))
        }
        Behaviour::Hang => {
            tokio::time::sleep(Duration::from_mins(5)).await;
            (StatusCode::OK, HeaderMap::new(), String::new())
        }
    }
}

/// An e-mail that came.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and text, as they came.
    pub data: String,
}

/// A mail server that stores what it is given (RFC 5321, as far as a client needs it), stopped on drop.
pub struct MailServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    server: tokio::task::JoinHandle<()>,
}

impl MailServer {
    /// Starts a server. It refuses recipients whose address begins with `nobody` for good, and with `busy` for now.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let stored = mails.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stored = stored.clone();
                // A client that goes away ends its own session only.
                tokio::spawn(async move { serve(stream, &stored).await });
            }
        });
        Ok(Self { address, mails, server })
    }

    /// The value of `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What came, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: TcpStream, mails: &Mutex<Vec<Mail>>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mail = Mail { from: String::new(), to: Vec::new(), data: String::new() };
    write.write_all(b"220 tests ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let (word, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        let address =
            rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(one, _)| one);
        let answer = match word.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => "250 tests",
            "MAIL" => {
                address.clone_into(&mut mail.from);
                "250 ok"
            }
            "RCPT" if address.starts_with("nobody") => "550 5.1.1 there is nobody of that name",
            "RCPT" if address.starts_with("busy") => "451 4.3.2 try again later",
            "RCPT" => {
                mail.to.push(address.to_owned());
                "250 ok"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.data.push('\n');
                }
                mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail.clone());
                (mail.to, mail.data) = (Vec::new(), String::new());
                "250 stored"
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
