//! Instagram Login tokens expire after 60 days and are renewed before. A Page's token cannot be renewed:
//! before it expires, operators are told to connect again.

use crate::Context;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::secret::Secret;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use dmrelay_instagram::{Access, GraphError, Refreshed};
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
            renew(ctx, connection, &access, &refreshed).await
        }
        Err(err) => {
            ctx.metrics.token_refreshes.with_label_values(&["failed"]).inc();
            failed(ctx, connection, &err).await
        }
    }
}

async fn renew(ctx: &Context, connection: &Connection, access: &Access, refreshed: &Refreshed) -> Result<()> {
    let proof = proof(ctx, connection, access, refreshed);
    let renewed = Renewed {
        access_token: ctx.seal(connection, "access_token", &refreshed.token),
        token_proof: proof.map(|proof| ctx.seal(connection, "token_proof", &proof)),
        expires_in: refreshed.expires_in,
    };
    let stored = ctx.store.renew_token(connection, &renewed).await?;
    tracing::info!(connection = %connection.id, stored, "token renewed");
    Ok(())
}

/// The proof of the new token, by the secret of the account's own app, if that proved the one before. The platform's secrets are
/// not here.
fn proof(
    ctx: &Context,
    connection: &Connection,
    before: &Access,
    after: &Refreshed,
) -> Option<Secret<String>> {
    let known = before.proof.as_ref()?;
    let own = connection.row.app_secret.as_deref();
    let own = own.and_then(|own| ctx.vault.open_text(dmrelay_app::place(connection, "app_secret"), own).ok());
    let proves = |secret: &&Secret<String>| {
        let proven = Access { proof: None, ..before.clone() }.proven_by(secret);
        proven.proof.is_some_and(|proof| proof.expose() == known.expose())
    };
    let secret = own.iter().find(proves);
    if secret.is_none() {
        tracing::warn!(connection = %connection.id, "calls with the new token carry no appsecret_proof until the account is connected again");
    }
    let renewed = Access { token: after.token.clone(), proof: None, ..before.clone() };
    secret.and_then(|secret| renewed.proven_by(secret).proof)
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
