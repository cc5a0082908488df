//! Caches connections with their credentials for a moment, so that a call needs no SQL statement.

use dmrelay_domain::ids::ConnectionId;
use dmrelay_store::{Connection, Result, Store};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a connection is cached.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// Maximum number of cached connections.
const ACCOUNTS_MAX: usize = 10_000;

/// Minimum interval between updates of an account's last event time.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10);

/// The connections this process used recently.
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

    /// Looks up a connection by id.
    pub(crate) async fn by_id(&self, id: ConnectionId) -> Result<Option<Arc<Connection>>> {
        if let Some(known) = self.fresh(id) {
            return Ok(Some(known));
        }
        // Boxed: every call to Graph holds this future, and mostly does not need it.
        let found = Box::pin(self.store.connection_by_id(id)).await?;
        Ok(found.map(|connection| self.remember(connection)))
    }

    /// Looks up the connection of an account, if it is connected.
    pub(crate) async fn by_account(&self, account: &str) -> Result<Option<Arc<Connection>>> {
        let id = self.lock().by_account.get(account).copied();
        if let Some(known) = id.and_then(|id| self.fresh(id)) {
            return Ok(Some(known));
        }
        let Ok(account) = dmrelay_domain::ids::InstagramAccountId::parse(account) else { return Ok(None) };
        let found = Box::pin(self.store.live_connection(&account)).await?;
        Ok(found.map(|connection| self.remember(connection)))
    }

    /// Evicts a connection whose credentials were rejected: newer ones may be stored.
    pub(crate) fn forget(&self, id: ConnectionId) {
        self.lock().by_id.remove(&id);
    }

    /// Records, at most once per interval, that webhooks of a connection arrive.
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
            tracing::debug!(connection = %id, error = %err, "cannot record the last event");
        }
    }

    fn fresh(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let known = self.lock();
        let (connection, at) = known.by_id.get(&id)?;
        (at.elapsed() < CACHE_TTL).then(|| connection.clone())
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
