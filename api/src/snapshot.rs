//! The connections, as the webhook path sees them: in memory, with their secrets opened, read again when
//! they change. No SQL is asked before a signature holds.

use arc_swap::ArcSwap;
use dmrelay_domain::ids::{AgentId, SubaccountId};
use dmrelay_domain::secret::Secret;
use dmrelay_store::{Connection, Result, Store};
use dmrelay_vault::{Place, Vault};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One connection, as far as webhooks need it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The tenant.
    pub(crate) subaccount: SubaccountId,
    /// The agent.
    pub(crate) agent: AgentId,
    /// The token of its handshake.
    pub(crate) verify_token: Option<Secret<String>>,
    /// The secret that signs its webhooks, where it has one of its own.
    pub(crate) app_secret: Option<Secret<String>>,
}

/// Every connection by its Instagram account.
pub(crate) type Accounts = HashMap<String, Known>;

/// The snapshot; cheap to clone.
#[derive(Clone)]
pub(crate) struct Snapshots {
    store: Store,
    vault: Vault,
    current: Arc<ArcSwap<Accounts>>,
}

impl Snapshots {
    pub(crate) fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault, current: Arc::default() }
    }

    /// The connections as last read.
    pub(crate) fn current(&self) -> Arc<Accounts> {
        self.current.load_full()
    }

    /// Reads the connections.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let connections = self.store.snapshot().await?;
        let accounts = connections.iter().map(|c| (c.account.to_string(), self.known(c))).collect();
        self.current.store(Arc::new(accounts));
        Ok(())
    }

    /// Reads them again whenever they have changed, until `shutdown`.
    pub(crate) async fn keep_fresh(self, interval: Duration, shutdown: CancellationToken) {
        let mut mark = None;
        loop {
            match self.store.snapshot_mark().await {
                Ok(now) if Some(now) == mark => {}
                Ok(now) => match self.refresh().await {
                    Ok(()) => mark = Some(now),
                    Err(err) => tracing::warn!(error = %err, "connections not read, the last ones are kept"),
                },
                Err(err) => tracing::warn!(error = %err, "connections not read, the last ones are kept"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    fn known(&self, connection: &Connection) -> Known {
        let open = |column: &'static str, sealed: Option<&Vec<u8>>| {
            let place = Place { table: "instagram_connections", column, row: connection.id.0 };
            match self.vault.open_text(place, sealed?) {
                Ok(secret) => Some(secret),
                Err(err) => {
                    tracing::error!(connection = %connection.id, column, error = %err, "a secret does not open");
                    None
                }
            }
        };
        Known {
            subaccount: connection.subaccount.clone(),
            agent: connection.agent.clone(),
            verify_token: open("verify_token", connection.row.verify_token.as_ref()),
            app_secret: open("app_secret", connection.row.app_secret.as_ref()),
        }
    }
}
