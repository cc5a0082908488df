//! Finds what is wrong, and writes down who is to be told.

use crate::Context;
use dmrelay_domain::notification::IncidentKind;
use dmrelay_store::Result;
use std::sync::Arc;

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let settings = &ctx.options.worker.incidents;
    let conditions = ctx.store.conditions(settings.incident_dead_letters_age).await?;
    let (after, clear_after) = (settings.incident_after, settings.incident_clear_after);
    let begun = ctx.store.sync_incidents(conditions, (after, clear_after)).await?;
    let announced = ctx.store.announce_incidents(after).await?;
    if begun > 0 || announced > 0 {
        tracing::info!(begun, notifications = announced, "incidents began or are to be told");
    }
    let counts = ctx.store.incident_counts().await?;
    for kind in IncidentKind::ALL {
        let open = counts.iter().find(|(of, _)| of == kind).map_or(0, |(_, n)| *n);
        ctx.metrics.incidents.with_label_values(&[kind.as_str()]).set(open);
    }
    Ok(())
}
