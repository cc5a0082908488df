//! The connections as the webhook path needs them: cached in memory with decrypted secrets, reloaded when
//! they change. No SQL runs before a signature is verified.

use arc_swap::ArcSwap;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::secret::Secret;
use dmrelay_store::{Connection, Result, Store};
use dmrelay_vault::Vault;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A connection, as far as webhooks need it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The tenant.
    pub(crate) subaccount: SubaccountId,
    /// Its verification token.
    pub(crate) verify_token: Option<Secret<String>>,
    /// Its own app secret, if it has one.
    pub(crate) app_secret: Option<Secret<String>>,
}

/// All connections by Instagram account.
pub(crate) type Accounts = HashMap<String, Known>;

/// The credential cache; cheap to clone.
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

    /// The connections last loaded.
    pub(crate) fn current(&self) -> Arc<Accounts> {
        self.current.load_full()
    }

    /// Loads the connections.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let connections = self.store.snapshot().await?;
        let accounts = connections.iter().map(|c| (c.account.to_string(), self.known(c))).collect();
        self.current.store(Arc::new(accounts));
        Ok(())
    }

    /// Reloads the connections whenever they change, until `shutdown`.
    pub(crate) async fn keep_fresh(self, interval: Duration, shutdown: CancellationToken) {
        let mut mark = None;
        loop {
            match self.store.snapshot_mark().await {
                Ok(now) if Some(now) == mark => {}
                Ok(now) => match self.refresh().await {
                    Ok(()) => mark = Some(now),
                    Err(err) => {
                        tracing::warn!(error = %err, "cannot load connections; using the cached ones");
                    }
                },
                Err(err) => tracing::warn!(error = %err, "cannot load connections; using the cached ones"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    fn known(&self, connection: &Connection) -> Known {
        let verify_token = connection.row.verify_token.as_ref();
        Known {
            subaccount: connection.subaccount.clone(),
            verify_token: open(&self.vault, connection, "verify_token", verify_token),
            app_secret: open_app_secret(&self.vault, connection),
        }
    }
}

/// The secret of the connection's own Meta app, if it has one.
pub(crate) fn open_app_secret(vault: &Vault, connection: &Connection) -> Option<Secret<String>> {
    open(vault, connection, "app_secret", connection.row.app_secret.as_ref())
}

fn open(
    vault: &Vault,
    connection: &Connection,
    column: &'static str,
    sealed: Option<&Vec<u8>>,
) -> Option<Secret<String>> {
    match vault.open_text(dmrelay_app::place(connection, column), sealed?) {
        Ok(secret) => Some(secret),
        Err(err) => {
            tracing::error!(connection = %connection.id, column, error = %err, "cannot decrypt a secret");
            None
        }
    }
}
