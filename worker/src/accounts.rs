//! Connections with their credentials, remembered for a moment, so that a call costs no statement.

use dmrelay_domain::ids::ConnectionId;
use dmrelay_store::{Connection, Result, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection is remembered.
const FRESH: Duration = Duration::from_secs(1);

/// How many are remembered.
const ACCOUNTS_MAX: usize = 10_000;

/// How often it is noted that the webhooks of an account come.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10);

/// The connections this process has used lately.
pub(crate) struct Accounts {
    store: Store,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<ConnectionId, (Arc<Connection>, Instant)>,
    by_account: HashMap<String, ConnectionId>,
    touched: HashMap<ConnectionId, Instant>,
}

impl Accounts {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// A connection by its id.
    pub(crate) async fn by_id(&self, id: ConnectionId) -> Result<Option<Arc<Connection>>> {
        if let Some(known) = self.fresh(id) {
            return Ok(Some(known));
        }
        Ok(self.store.connection_by_id(id).await?.map(|connection| self.remember(connection)))
    }

    /// The connection an account belongs to now, if it is connected to anybody.
    pub(crate) async fn by_account(&self, account: &str) -> Result<Option<Arc<Connection>>> {
        let id = self.lock().by_account.get(account).copied();
        if let Some(known) = id.and_then(|id| self.fresh(id)) {
            return Ok(Some(known));
        }
        let Ok(account) = dmrelay_domain::ids::InstagramAccountId::parse(account) else { return Ok(None) };
        Ok(self.store.live_connection(&account).await?.map(|connection| self.remember(connection)))
    }

    /// Forgets a connection whose credentials were refused: there may be newer ones.
    pub(crate) fn forget(&self, id: ConnectionId) {
        self.lock().by_id.remove(&id);
    }

    /// Notes, now and then, that the webhooks of a connection come.
    pub(crate) async fn touch(&self, id: ConnectionId) {
        let due = {
            let (now, mut known) = (Instant::now(), self.lock());
            let due = known.touched.get(&id).is_none_or(|at| now - *at >= TOUCH_INTERVAL);
            if due {
                known.touched.insert(id, now);
            }
            due
        };
        if due && let Err(err) = self.store.touch_connection(id).await {
            tracing::debug!(connection = %id, error = %err, "last event not noted");
        }
    }

    fn fresh(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let known = self.lock();
        let (connection, at) = known.by_id.get(&id)?;
        (at.elapsed() < FRESH).then(|| connection.clone())
    }

    fn remember(&self, connection: Connection) -> Arc<Connection> {
        let (connection, mut known) = (Arc::new(connection), self.lock());
        if known.by_id.len() >= ACCOUNTS_MAX {
            *known = Known::default();
        }
        known.by_account.insert(connection.account.to_string(), connection.id);
        known.by_id.insert(connection.id, (connection.clone(), Instant::now()));
        connection
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
