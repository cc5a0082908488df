//! The keys that subaccounts have of their own at the agent's provider, opened and cached for a moment.

use crate::Context;
use dmrelay_agent::{AgentError, Key};
use dmrelay_domain::conversation::{Provider, Route};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::{Connection, Result, Store};
use dmrelay_vault::{Place, Vault};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a key is cached.
const CACHE_TTL: Duration = Duration::from_secs(10);

/// Maximum number of cached keys.
const KEYS_MAX: usize = 10_000;

/// A subaccount's own key.
pub(crate) struct OwnKey {
    /// The id of its row, another one for each key.
    pub(crate) id: Uuid,
    key: Key,
}

/// The key to call with; none for the operator's.
pub(crate) fn key_of(own: Option<&Arc<OwnKey>>) -> Option<&Key> {
    own.map(|own| &own.key)
}

/// The keys this process used recently.
#[derive(Default)]
pub(crate) struct Keys {
    known: Mutex<HashMap<SubaccountId, (Arc<OwnKey>, Instant)>>,
    /// The subaccounts that have one, as last loaded.
    own: Mutex<HashSet<String>>,
}

impl Keys {
    /// The key with which an agent is asked; none for the operator's.
    pub(crate) async fn of(
        &self,
        (store, vault): (&Store, &Vault),
        provider: &Provider,
    ) -> std::result::Result<Option<Arc<OwnKey>>, AgentError> {
        let Provider::Own(subaccount) = provider else { return Ok(None) };
        let known = lock(&self.known).get(subaccount).cloned();
        if let Some((key, _)) = known.filter(|(_, at)| at.elapsed() < CACHE_TTL) {
            return Ok(Some(key));
        }
        let row = store.provider_key(subaccount).await.map_err(|err| unavailable(&err.to_string()))?;
        // Removed since: the next step of the conversation sees that.
        let row = row.ok_or_else(|| unavailable("the subaccount's key was removed"))?;
        let place = Place { table: "provider_keys", column: "key", row: row.id };
        let key = vault.open_text(place, &row.key).map_err(|err| unavailable(&err.to_string()))?;
        let key = Arc::new(OwnKey { id: row.id, key });
        let mut known = lock(&self.known);
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(subaccount.clone(), (key.clone(), Instant::now()));
        Ok(Some(key))
    }

    /// The key was refused: a newer one may be stored.
    pub(crate) fn forget(&self, provider: &Provider) {
        if let Provider::Own(subaccount) = provider {
            lock(&self.known).remove(subaccount);
        }
    }

    /// Whether a subaccount has a key of its own, as last loaded.
    pub(crate) fn has_own(&self, subaccount: &str) -> bool {
        lock(&self.own).contains(subaccount)
    }

    /// Loads which subaccounts have a key of their own.
    pub(crate) async fn refresh(&self, store: &Store) -> Result<()> {
        let own = store.subaccounts_with_key().await?;
        *lock(&self.own) = own.into_iter().collect();
        Ok(())
    }
}

impl Context {
    /// The services of a connection, as far as is known before its conversation is loaded.
    pub(crate) fn route(&self, connection: &Connection) -> Route {
        let has_own = self.keys.has_own(connection.subaccount.as_str());
        Route {
            subaccount: connection.subaccount.clone(),
            agent: connection.agent.clone(),
            provider: Provider::of(&connection.subaccount, has_own),
            account: connection.account.clone(),
            login: connection.login,
        }
    }

    /// The key with which an agent is asked; none for the operator's.
    pub(crate) async fn agent_key(
        &self,
        provider: &Provider,
    ) -> std::result::Result<Option<Arc<OwnKey>>, AgentError> {
        self.keys.of((&self.store, &self.vault), provider).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing was asked: the key cannot be had now.
fn unavailable(why: &str) -> AgentError {
    let message = format!("the subaccount's key at the agent's provider: {why}");
    AgentError { class: FailureClass::Transient, answered: true, status: None, retry_after: None, message }
}
