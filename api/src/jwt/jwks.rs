//! The key set (JWKS) of an identity provider: fetched on demand and cached.
//!
//! A provider rotates keys by publishing a new one and signing with it, so an unknown key triggers another
//! fetch. The frequency and concurrency of fetches are bounded, because anyone can send a token that names a
//! nonexistent key.

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

/// Maximum size of a key set response, in bytes.
const RESPONSE_BYTES_MAX: usize = 512 * 1024;

/// Maximum number of keys in a set.
const KEYS_MAX: usize = 100;

/// How long cached keys remain valid if they cannot be fetched again.
const STALE_KEYS_MAX: Millis = 24 * 3_600_000;

/// Delay before retrying while there are no keys at all: until then every token is rejected.
const FETCH_RETRY_DELAY: Millis = 5_000;

/// Minimum interval between two fetches, whatever the settings: callers that waited for one must not trigger
/// the next.
const FETCH_INTERVAL_MIN: Millis = 1_000;

/// The cached keys and how to fetch them.
pub(super) struct Jwks {
    client: Client,
    call: Call,
    cache: Millis,
    min_interval: Millis,
    clock: Arc<dyn Clock>,
    kept: ArcSwap<Kept>,
    /// Held by the one fetch in progress.
    fetching: Arc<Mutex<()>>,
}

/// The result of the last fetches.
#[derive(Clone, Default)]
struct Kept {
    keys: Vec<Key>,
    /// When the keys were fetched.
    fetched_at: Option<Millis>,
    /// When the last fetch was attempted.
    tried_at: Option<Millis>,
}

impl Jwks {
    /// Does not fetch yet.
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

    /// The key named by a token of this algorithm or, if it names none, the only key that fits.
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
            // One call has already waited for an unresponsive provider; the others need not.
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

    /// Fetches the keys unless that was just done; callers during a fetch wait for its result.
    async fn refresh(self: &Arc<Self>) {
        if !self.is_due() {
            return;
        }
        let turn = Arc::clone(&self.fetching).lock_owned().await;
        // Another call may have fetched them meanwhile.
        if self.is_due()
            && let Err(err) = self.start(turn).await
        {
            tracing::error!(error = %err, "fetching the identity provider's keys failed");
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

    /// A separate task: a caller that disconnects must not abort the fetch others wait for.
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
                    tracing::warn!("the identity provider publishes no usable key");
                }
                Kept { keys, fetched_at: Some(now), tried_at: Some(now) }
            }
            Err(why) => {
                let kept = self.kept.load();
                let going_on = kept.is_younger(STALE_KEYS_MAX, now);
                tracing::warn!(error = %why, going_on, "cannot fetch the identity provider's keys");
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

    /// Whether the keys were fetched less than `age` ago.
    fn is_younger(&self, age: Millis, now: Millis) -> bool {
        self.fetched_at.is_some_and(|fetched_at| is_within(age, fetched_at, now))
    }

    /// Whether the last fetch failed.
    fn is_failing(&self) -> bool {
        self.fetched_at != self.tried_at
    }
}

/// Whether less than `span` has passed since then. A time in the future means the clock was set back, so the
/// elapsed time is unknown.
fn is_within(span: Millis, since: Millis, now: Millis) -> bool {
    (0..span).contains(&(now - since))
}
