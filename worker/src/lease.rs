//! Keeps a lease while its holder works.

use crate::Context;
use dmrelay_domain::ids::ChatId;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Renews a lease at a third of its time, until dropped.
pub(crate) struct Renewal(JoinHandle<()>);

/// What a lease is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leasable {
    Turn,
    Outbox,
}

impl Renewal {
    pub(crate) fn start(ctx: &Arc<Context>, what: Leasable, chat: ChatId, token: Uuid) -> Self {
        let ctx = ctx.clone();
        Self(tokio::spawn(async move {
            let lease = ctx.options.worker.lease;
            loop {
                tokio::time::sleep(lease / 3).await;
                let kept = match what {
                    Leasable::Turn => ctx.store.renew_turn(chat, token, lease).await,
                    Leasable::Outbox => ctx.store.renew_outbox(chat, token, lease).await,
                };
                match kept {
                    Ok(true) => {}
                    // The outcome is still recorded, guarded by the attempt.
                    Ok(false) => return,
                    Err(err) => tracing::warn!(%chat, error = %err, "lease not renewed"),
                }
            }
        }))
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}
