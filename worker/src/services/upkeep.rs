//! The connection reconciler: handles connections left pending by a process that died, and those that could
//! not be disconnected while Meta was unreachable.

use crate::Context;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::ConnectionStatus;
use dmrelay_store::{Connection, Result};
use std::sync::Arc;
use std::time::Duration;

/// How long connecting may take before it is considered abandoned.
const PENDING_MAX: Duration = Duration::from_mins(10);

/// How long Meta is asked to unsubscribe the webhooks before the token is deleted anyway.
const DISCONNECTING_MS_MAX: i64 = 24 * 3_600_000;

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let routed = ctx.store.route_events().await?;
    if routed > 0 {
        tracing::info!(routed, "ingesting events that arrived before their connection");
    }
    for connection in ctx.store.unfinished_connections(PENDING_MAX).await? {
        if connection.status == ConnectionStatus::Pending {
            tracing::warn!(connection = %connection.id, "removing an abandoned connection");
            ctx.store.drop_pending(connection.id).await?;
        } else if unsubscribed(&ctx, &connection).await? {
            let tx = ctx.store.begin().await?;
            let marked = tx.mark_disconnected(&connection, "by request").await?;
            tx.commit().await?;
            tracing::info!(connection = %connection.id, marked, "disconnected");
            if !marked {
                subscribe_again(&ctx, &connection).await?;
            }
        }
    }
    Ok(())
}

/// The account was connected again while its webhooks were being unsubscribed.
async fn subscribe_again(ctx: &Context, ended: &Connection) -> Result<()> {
    let fresh = ctx.store.connection_by_id(ended.id).await?;
    let Some(fresh) = fresh.filter(|fresh| fresh.status == ConnectionStatus::Connected) else {
        return Ok(());
    };
    let fields: Vec<String> = serde_json::from_str(&fresh.row.subscribed_fields).unwrap_or_default();
    let Ok(access) = ctx.access(&fresh) else { return Ok(()) };
    if let Err(err) = ctx.graph.subscribe(&access, &fields).await {
        tracing::error!(connection = %fresh.id, code = %err.code, "webhooks were unsubscribed and could not be subscribed again");
    }
    Ok(())
}

/// Whether the webhooks are unsubscribed, this token can no longer unsubscribe them, or it was tried long
/// enough.
async fn unsubscribed(ctx: &Context, connection: &Connection) -> Result<bool> {
    let Ok(access) = ctx.access(connection) else { return Ok(true) };
    let passing = match ctx.graph.unsubscribe(&access).await {
        Ok(()) => return Ok(true),
        Err(err) => {
            tracing::warn!(connection = %connection.id, code = %err.code, "cannot unsubscribe the webhooks");
            // Without the proof of the app's secret nothing is known of the token.
            err.is_about_proof()
                || matches!(
                    err.class,
                    FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled
                )
        }
    };
    Ok(!passing || ctx.store.now().await? - connection.row.updated_at > DISCONNECTING_MS_MAX)
}
