//! The keys of an identity provider (JWKS): fetched when one is needed, and kept.
//!
//! A provider changes its keys by publishing a new one and signing with it, so a key that is not known is
//! looked for again; how often, and by how many at a time, is bounded, because anybody can send a token that
//! names a key that there is not.

use super::TokenError;
use super::jwk::Key;
use arc_swap::ArcSwap;
use dmrelay_domain::clock::{Clock, Millis, millis};
use dmrelay_runtime::http::{Call, Client};
use dmrelay_runtime::settings::JwtSettings;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

/// The longest answer that is read as keys, in bytes.
const RESPONSE_BYTES_MAX: usize = 512 * 1024;

/// The most keys that are taken.
const KEYS_MAX: usize = 100;

/// How long keys go on that cannot be fetched again.
const STALE_KEYS_MAX: Millis = 24 * 3_600_000;

/// How soon fetching is tried again while there are no keys at all: until then every token is refused.
const FETCH_RETRY_DELAY: Millis = 5_000;

/// The least time between two fetches, whatever the settings: those who waited for one must not make the next.
const FETCH_INTERVAL_MIN: Millis = 1_000;

/// The keys, and how they are come by.
pub(super) struct Jwks {
    client: Client,
    call: Call,
    cache: Millis,
    min_interval: Millis,
    clock: Arc<dyn Clock>,
    kept: ArcSwap<Kept>,
    /// Held by the one fetch there is at a time.
    fetching: Arc<Mutex<()>>,
}

/// What the last fetches brought.
#[derive(Clone, Default)]
struct Kept {
    keys: Vec<Key>,
    /// When they came.
    fetched_at: Option<Millis>,
    /// When it was last tried.
    tried_at: Option<Millis>,
}

impl Jwks {
    /// Fetches nothing yet.
    pub(super) fn new(settings: &JwtSettings, client: Client, call: Call, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            call,
            cache: millis(settings.jwks_cache),
            min_interval: millis(settings.jwks_min_interval).max(FETCH_INTERVAL_MIN),
            clock,
            kept: ArcSwap::default(),
            fetching: Arc::default(),
        }
    }

    /// The key that a token of this algorithm names; where it names none, the only one that fits.
    pub(super) async fn key(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, TokenError> {
        let (kept, now) = (self.kept.load_full(), self.clock.now());
        if let Ok(key) = kept.find(kid, algorithm) {
            if kept.is_younger(self.cache, now) {
                return Ok(key);
            }
            // One call has waited for a provider that does not answer; the others need not.
            if kept.is_failing() && kept.is_younger(STALE_KEYS_MAX, now) {
                self.refresh_behind();
                return Ok(key);
            }
        }
        self.refresh().await;
        let kept = self.kept.load();
        if !kept.is_younger(STALE_KEYS_MAX, self.clock.now()) {
            return Err(TokenError::Unavailable);
        }
        kept.find(kid, algorithm)
    }

    /// Fetches the keys, unless that was just done; who comes during a fetch waits for its outcome.
    async fn refresh(self: &Arc<Self>) {
        if !self.is_due() {
            return;
        }
        let turn = Arc::clone(&self.fetching).lock_owned().await;
        // Somebody else may have fetched them meanwhile.
        if self.is_due()
            && let Err(err) = self.start(turn).await
        {
            tracing::error!(error = %err, "fetching the keys of the identity provider broke off");
        }
    }

    fn refresh_behind(self: &Arc<Self>) {
        if self.is_due()
            && let Ok(turn) = Arc::clone(&self.fetching).try_lock_owned()
        {
            drop(self.start(turn));
        }
    }

    fn is_due(&self) -> bool {
        let (kept, now) = (self.kept.load(), self.clock.now());
        let pause = if kept.is_younger(STALE_KEYS_MAX, now) {
            self.min_interval
        } else {
            self.min_interval.min(FETCH_RETRY_DELAY)
        };
        kept.tried_at.is_none_or(|tried_at| !is_within(pause, tried_at, now))
    }

    /// A task of its own: a caller that goes away must not break off the fetch that others wait for.
    fn start(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> JoinHandle<()> {
        let jwks = Arc::clone(self);
        tokio::spawn(async move {
            jwks.fetch().await;
            drop(turn);
        })
    }

    async fn fetch(&self) {
        let outcome = self.published().await;
        let now = self.clock.now();
        let kept = match outcome {
            Ok(keys) => {
                if keys.is_empty() {
                    tracing::warn!("the identity provider publishes no key that can be used");
                }
                Kept { keys, fetched_at: Some(now), tried_at: Some(now) }
            }
            Err(why) => {
                let kept = self.kept.load();
                let going_on = kept.is_younger(STALE_KEYS_MAX, now);
                tracing::warn!(error = %why, going_on, "the keys of the identity provider cannot be fetched");
                Kept { tried_at: Some(now), ..Kept::clone(&kept) }
            }
        };
        self.kept.store(Arc::new(kept));
    }

    async fn published(&self) -> Result<Vec<Key>, String> {
        let answer = self.client.send(self.call.clone()).await.map_err(|err| err.to_string())?;
        if !answer.is_success() {
            return Err(format!("answered {}", answer.status));
        }
        if answer.body.len() > RESPONSE_BYTES_MAX {
            return Err("the answer is too long".to_owned());
        }
        let keys = answer.json().and_then(|mut set| match set.get_mut("keys").map(Value::take) {
            Some(Value::Array(keys)) => Some(keys),
            _ => None,
        });
        let keys = keys.ok_or("the answer is not a set of keys")?;
        Ok(keys.iter().filter_map(Key::read).take(KEYS_MAX).collect())
    }
}

impl Kept {
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<DecodingKey>, TokenError> {
        let named = |key: &&Key| kid.is_none() || key.kid.as_deref() == kid;
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == algorithm).filter(named);
        let key = fitting.next().ok_or(TokenError::Invalid("its key is unknown"))?;
        if kid.is_none() && fitting.next().is_some() {
            return Err(TokenError::Invalid("it does not name the key that signed it"));
        }
        Ok(Arc::clone(&key.verifying))
    }

    /// Whether the keys came less than `age` ago.
    fn is_younger(&self, age: Millis, now: Millis) -> bool {
        self.fetched_at.is_some_and(|fetched_at| is_within(age, fetched_at, now))
    }

    /// Whether the last fetch brought nothing.
    fn is_failing(&self) -> bool {
        self.fetched_at != self.tried_at
    }
}

/// Whether `span` has not passed since then. A time in the future says that the clock was set back: how much
/// has passed is not known.
fn is_within(span: Millis, since: Millis, now: Millis) -> bool {
    (0..span).contains(&(now - since))
}
