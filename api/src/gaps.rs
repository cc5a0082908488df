//! Times in which webhooks were not taken in, as far as we know of them: nothing listened, or the database refused them. Meta delivers
//! again for a while, but not for ever, and not always; so what changed meanwhile is compared with Meta's copy.

use dmrelay_domain::clock::{Clock, Millis, millis};
use dmrelay_store::{InboxWriter, Leadership, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The row that says until when some process of the API has listened.
const LISTENING: &str = "webhooks";

/// How often that is said, and for how long it holds.
const INTERVAL: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(30);

/// A pause that a restart takes.
const RESTART: Duration = Duration::from_mins(1);

/// Webhooks that were refused; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gaps {
    /// Since when, by this machine's clock; 0 if none is.
    refused_since: Arc<AtomicI64>,
}

impl Gaps {
    /// A webhook was refused that ought to have been stored.
    pub(crate) fn note(&self, now: Millis) {
        let _ = self.refused_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Has conversations compared after a gap, until `stop`.
    pub(crate) async fn watch(
        self,
        (store, inbox): (Store, InboxWriter),
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let leadership = Leadership::new(LISTENING);
        let mut is_first = true;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let outcome = async {
                if is_first {
                    after_downtime(&store).await?;
                }
                leadership.hold(&store, LEASE).await?;
                if inbox.check().is_ok() {
                    self.after_refusals(&store, clock.now()).await?;
                }
                dmrelay_store::Result::Ok(())
            };
            match outcome.await {
                Ok(()) => is_first = false,
                Err(err) => tracing::debug!(error = %err, "cannot tell that this process listens; retrying"),
            }
        }
    }

    async fn after_refusals(&self, store: &Store, now: Millis) -> dmrelay_store::Result<()> {
        let since = self.refused_since.load(Ordering::Relaxed);
        if since == 0 {
            return Ok(());
        }
        let connections =
            store.request_backfills(store.now().await? - (now - since) - millis(RESTART), "refused").await?;
        self.refused_since.store(0, Ordering::Relaxed);
        let seconds = (now - since) / 1_000;
        tracing::warn!(connections, seconds, "webhooks were refused: conversations are compared with Meta's");
        Ok(())
    }
}

/// When nobody has listened for a while, until now.
async fn after_downtime(store: &Store) -> dmrelay_store::Result<()> {
    let (until, now) = (store.led_until(LISTENING).await?, store.now().await?);
    let Some(since) =
        until.map(|until| until - millis(LEASE)).filter(|since| now - since > millis(LEASE + RESTART))
    else {
        return Ok(());
    };
    let connections = store.request_backfills(since - millis(RESTART), "downtime").await?;
    let seconds = (now - since) / 1_000;
    tracing::warn!(
        connections,
        seconds,
        "nobody has listened for webhooks: conversations are compared with Meta's"
    );
    Ok(())
}
