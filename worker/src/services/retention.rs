//! Deletes rows past their retention, in batches.

use crate::Context;
use dmrelay_store::{Kept, Result};
use std::sync::Arc;

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    ctx.store.forget_workers().await?;
    let worker = &ctx.options.worker;
    let kept =
        Kept { events: worker.retention_events, unrouted: worker.retention_unrouted, ..Kept::default() };
    ctx.store.forget_prompt_echoes().await?;
    loop {
        let deleted = ctx.store.forget_events(&kept).await?;
        if deleted > 0 {
            tracing::info!(deleted, "old events deleted");
        }
        if deleted < kept.batch {
            return Ok(());
        }
    }
}
