//! Instagram Login tokens expire after 60 days and are renewed before. A Page's token cannot be renewed:
//! before it expires, operators are told to connect again.

use crate::Context;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_instagram::{GraphError, Refreshed};
use dmrelay_store::{Connection, Renewed, Result};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of tokens per tick: each may take as long as a call to Graph.
const BATCH_MAX: u64 = 10;

/// Delay before a renewal is retried that failed by chance or was started by a process that died.
const RETRY_DELAY: Duration = Duration::from_mins(5);

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let left = Duration::from_hours(24) * u32::from(ctx.options.worker.token_refresh_days);
    for connection in ctx.store.claim_tokens(left, RETRY_DELAY, BATCH_MAX).await? {
        one(&ctx, &connection).await?;
    }
    Ok(())
}

async fn one(ctx: &Context, connection: &Connection) -> Result<()> {
    if connection.login == LoginKind::Facebook {
        let told = ctx.store.token_failing(connection, "the token expires soon: connect again", None).await?;
        tracing::warn!(connection = %connection.id, told, "the token of a Page expires soon");
        return Ok(());
    }
    let access = match ctx.access(connection) {
        Ok(access) => access,
        Err(err) => {
            tracing::error!(connection = %connection.id, error = %err, "cannot decrypt the connection's token");
            return ctx.store.put_token_off(connection, RETRY_DELAY).await;
        }
    };
    match ctx.graph.refresh(&access).await {
        Ok(refreshed) => {
            ctx.metrics.token_refreshes.with_label_values(&["ok"]).inc();
            renew(ctx, connection, &refreshed).await
        }
        Err(err) => {
            ctx.metrics.token_refreshes.with_label_values(&["failed"]).inc();
            failed(ctx, connection, &err).await
        }
    }
}

async fn renew(ctx: &Context, connection: &Connection, refreshed: &Refreshed) -> Result<()> {
    let renewed =
        Renewed { access_token: ctx.seal(connection, &refreshed.token), expires_in: refreshed.expires_in };
    let stored = ctx.store.renew_token(connection, &renewed).await?;
    tracing::info!(connection = %connection.id, stored, "token renewed");
    Ok(())
}

async fn failed(ctx: &Context, connection: &Connection, err: &GraphError) -> Result<()> {
    tracing::warn!(connection = %connection.id, class = err.class.as_str(), code = %err.code, "cannot renew the token");
    match err.class {
        FailureClass::Transient | FailureClass::Ambiguous | FailureClass::Throttled => {
            let delay = err.retry_after.map_or(RETRY_DELAY, |after| after.max(RETRY_DELAY));
            ctx.store.put_token_off(connection, delay).await
        }
        class => {
            ctx.store.token_failing(connection, "Meta did not renew the token", Some(&err.code)).await?;
            if class == FailureClass::Reauth {
                let status = ConnectionStatus::ReauthRequired;
                ctx.store.park_connection(connection, status, &err.code).await?;
            }
            Ok(())
        }
    }
}
