//! The floor: the least a server must do that acknowledges a signed webhook when it is stored. HMAC over the raw
//! body, one group-committed insert of (key, raw), and nothing else: no parsing, no accounts, no metrics.

use crate::args;
use crate::process::Process;
use crate::servers::{Servers, sibling};
use crate::webhook::APP_SECRET;
use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::{PgPool, query, raw_sql};
use sha2::Sha256;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

/// As the API's inbox: the most rows of a statement, the most that wait, and how many statements at a time.
const BATCH: usize = 500;
const WAITING: usize = 4_096;
const WRITERS: usize = 2;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS floor (key bytea PRIMARY KEY, raw bytea NOT NULL)";
const INSERT: &str =
    "INSERT INTO floor (key, raw) SELECT * FROM UNNEST($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING";

/// A floor that runs in a process of its own, as the API does.
pub(crate) struct Floor {
    process: Process,
    addr: SocketAddr,
}

impl Floor {
    pub(crate) async fn start(servers: &Servers, database_url: Option<&str>) -> Result<Self> {
        let [addr] = crate::process::free_ports()?;
        let mut command = Command::new(sibling("dmrelay-bench")?);
        command.args(["floor", "--addr", &addr.to_string()]);
        if let Some(url) = database_url {
            command.args(["--database-url", url]);
        }
        let mut process = Process::start("floor", &mut command, servers.folder())?;
        process
            .wait_until(async || {
                TcpStream::connect(addr).await?;
                Ok(())
            })
            .await?;
        Ok(Self { process, addr })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

#[derive(Clone)]
struct Served {
    mac: Hmac<Sha256>,
    inbox: Option<mpsc::Sender<Row>>,
}

struct Row {
    key: [u8; 32],
    raw: Bytes,
    done: oneshot::Sender<bool>,
}

/// Serves until the process is ended.
pub(crate) async fn serve(args: args::Floor) -> Result<()> {
    let inbox = match &args.database_url {
        Some(url) => Some(inbox(url).await?),
        None => None,
    };
    let served = Served { mac: Hmac::new_from_slice(APP_SECRET.as_bytes())?, inbox };
    let router = Router::new().route("/webhooks/instagram", post(receive)).with_state(served);
    let listener = TcpListener::bind(args.addr).await.with_context(|| format!("{} is taken", args.addr))?;
    axum::serve(listener, router).await.context("the listener failed")
}

async fn inbox(url: &str) -> Result<mpsc::Sender<Row>> {
    let connections = u32::try_from(WRITERS)?;
    let pool = PgPoolOptions::new().max_connections(connections).connect(url).await?;
    raw_sql(TABLE).execute(&pool).await?;
    let (rows, waiting) = mpsc::channel(WAITING);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..WRITERS {
        tokio::spawn(write(waiting.clone(), pool.clone()));
    }
    Ok(rows)
}

async fn receive(State(served): State<Served>, headers: HeaderMap, raw: Bytes) -> (StatusCode, &'static str) {
    let claimed =
        headers.get("x-hub-signature-256").and_then(|value| value.as_bytes().strip_prefix(b"sha256="));
    let mut digest = [0; 32];
    let readable = claimed.is_some_and(|claimed| hex::decode_to_slice(claimed, &mut digest).is_ok());
    if !readable || served.mac.chain_update(&raw).verify_slice(&digest).is_err() {
        return (StatusCode::FORBIDDEN, "refused");
    }
    let Some(inbox) = served.inbox else { return (StatusCode::OK, "EVENT_RECEIVED") };
    let (done, stored) = oneshot::channel();
    // The digest is as good a key as any: another body has another one.
    let handed_over = inbox.send(Row { key: digest, raw, done }).await.is_ok();
    if handed_over && stored.await == Ok(true) {
        (StatusCode::OK, "EVENT_RECEIVED")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not stored")
    }
}

/// Whatever waits while a batch is written is the next batch.
async fn write(waiting: Arc<Mutex<mpsc::Receiver<Row>>>, pool: PgPool) {
    loop {
        let mut rows = Vec::new();
        if waiting.lock().await.recv_many(&mut rows, BATCH).await == 0 {
            return;
        }
        let keys: Vec<&[u8]> = rows.iter().map(|row| row.key.as_slice()).collect();
        let raws: Vec<&[u8]> = rows.iter().map(|row| &*row.raw).collect();
        let stored = query(INSERT).bind(keys).bind(raws).execute(&pool).await.is_ok();
        for row in rows {
            let _ = row.done.send(stored);
        }
    }
}
