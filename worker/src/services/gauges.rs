//! The gauges that are read from the database and the queue, by the leader alone.

use crate::Context;
use dmrelay_queue::QueueName;
use dmrelay_store::Result;
use std::sync::Arc;

const DAY_MS: f64 = 86_400_000.0;

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
    if let Some(left) = ctx.store.first_token_expiry().await? {
        metrics.token_days_left_min.set(left as f64 / DAY_MS);
    }
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
