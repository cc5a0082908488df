//! The gauges that are read from the database and the queue, by the leader alone.

use crate::Context;
use dmrelay_queue::QueueName;
use dmrelay_store::Result;
use std::sync::Arc;

const DAY_MS: f64 = 86_400_000.0;

/// Another process leads now: what this one last saw is no longer shown.
pub(super) fn forget(ctx: &Context) {
    let metrics = &ctx.metrics;
    for job in dmrelay_runtime::metrics::JOBS {
        metrics.oldest_due_seconds.with_label_values(&[job]).set(0.0);
    }
    for class in dmrelay_domain::failure::FailureClass::ALL {
        metrics.dead_letters.with_label_values(&[class.as_str()]).set(0);
    }
    for status in dmrelay_domain::states::ConnectionStatus::ALL {
        metrics.connections.with_label_values(&[status.as_str()]).set(0);
    }
    for queue in QueueName::ALL {
        metrics.queue_depth.with_label_values(&[queue.as_str()]).set(0);
    }
    metrics.token_days_left_min.set(f64::INFINITY);
}

#[expect(clippy::cast_precision_loss, reason = "ages and days are shown, not compared")]
pub(super) async fn beat(ctx: Arc<Context>) -> Result<()> {
    let metrics = &ctx.metrics;
    for (job, due) in ctx.store.oldest_due().await? {
        metrics.oldest_due_seconds.with_label_values(&[job]).set(due.oldest_ms as f64 / 1_000.0);
    }
    let counts = ctx.store.dead_letter_counts().await?;
    for class in dmrelay_domain::failure::FailureClass::ALL {
        let count = counts.iter().find(|(word, _)| word == class.as_str()).map_or(0, |(_, n)| *n);
        metrics.dead_letters.with_label_values(&[class.as_str()]).set(count);
    }
    let counts = ctx.store.connection_counts().await?;
    for status in dmrelay_domain::states::ConnectionStatus::ALL {
        let count = counts.iter().find(|(word, _)| word == status.as_str()).map_or(0, |(_, n)| *n);
        metrics.connections.with_label_values(&[status.as_str()]).set(count);
    }
    // Without a token that expires there are days without end.
    let left = ctx.store.first_token_expiry().await?.map_or(f64::INFINITY, |left| left as f64 / DAY_MS);
    metrics.token_days_left_min.set(left);
    let (used, idle) = ctx.store.pool();
    metrics.db_pool.with_label_values(&["used"]).set(used.into());
    metrics.db_pool.with_label_values(&["idle"]).set(idle.into());
    for queue in QueueName::ALL {
        if let Ok(depth) = ctx.dispatcher.depth(queue).await {
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            metrics.queue_depth.with_label_values(&[queue.as_str()]).set(depth);
        }
    }
    Ok(())
}
