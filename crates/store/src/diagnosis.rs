//! Why no connection could be had. The pool tries to connect until its time is over, and then only says that it is.

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{Connection, Error as SqlxError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long whoever could not have a connection waits for the reason, if none is known. A refusal comes at once.
const REASON_WAIT: Duration = Duration::from_millis(2_500);

/// How long a reason counts, and after how long it is looked for again.
const REASON_KEPT: Duration = Duration::from_secs(10);
const REASON_FRESH: Duration = Duration::from_secs(2);

/// Looks for the reason, once at a time.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    known: Mutex<Option<(Instant, String)>>,
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Diagnosis {
    /// Why no connection to `url` could be had: what the server says to a new one; or that it takes new ones, so that those of
    /// the pool, of which there are `connections`, must have been in use. Whoever is not `patient` is told what is known.
    pub(crate) async fn reason(
        self: &Arc<Self>,
        url: &str,
        connections: u32,
        waited: Duration,
        patient: bool,
    ) -> String {
        if let Some(fresh) = self.known(REASON_FRESH) {
            return fresh;
        }
        let known = self.known(REASON_KEPT);
        let (this, url) = (self.clone(), url.to_owned());
        let look = tokio::spawn(async move {
            let _one = this.looking.lock().await;
            if this.known(REASON_FRESH).is_none() {
                let reason = try_to_connect(&url).await.unwrap_or_else(|| {
                    format!("all {connections} connections were in use for {} s", waited.as_secs())
                });
                *this.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reason));
            }
        });
        if let Some(known) = known {
            return known;
        }
        if patient {
            let _ = timeout(REASON_WAIT, look).await;
        }
        let unknown = || format!("no connection could be had within {} s", waited.as_secs());
        self.known(REASON_KEPT).unwrap_or_else(unknown)
    }

    fn known(&self, within: Duration) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| at.elapsed() < within).map(|(_, reason)| reason.clone())
    }
}

/// Why a new connection fails, with the server's address; none if it does not.
async fn try_to_connect(url: &str) -> Option<String> {
    let options: PgConnectOptions = match url.parse() {
        Ok(options) => options,
        Err(err) => return Some(err.to_string()),
    };
    let address = match options.get_socket() {
        Some(path) => path.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    match timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            let _ = timeout(CONNECT_TIMEOUT, connection.close()).await;
            None
        }
        Ok(Err(SqlxError::Io(err))) => Some(format!("cannot connect to {address}: {err}")),
        Ok(Err(SqlxError::Database(err))) => {
            Some(format!("{address} refuses connections: {}", err.message()))
        }
        Ok(Err(err)) => Some(format!("cannot connect to {address}: {err}")),
        Err(_) => Some(format!("{address} does not answer")),
    }
}
