//! Erases what was asked to be erased: accounts, subaccounts, and chats at the agent's provider.

use crate::Context;
use dmrelay_domain::conversation::Provider;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::Result;
use dmrelay_store::entity::agent_chat_deletion;
use std::sync::Arc;
use std::time::Duration;

/// Agent chats deleted by one tick, each by a call.
const AGENT_CHATS_PER_TICK: u64 = 20;

/// Erasures that one tick goes on with.
const ERASURES_PER_TICK: u64 = 10;

/// First and longest time until the deletion of an agent chat is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_hours(6);

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    for erasure in ctx.store.due_erasures(ERASURES_PER_TICK).await? {
        if ctx.store.go_on_erasing(&erasure, settled(&ctx)).await? {
            tracing::info!(erasure = %erasure.id, subaccount = erasure.subaccount_id, "erased");
        }
    }
    let due = ctx.store.due_agent_chats(AGENT_CHATS_PER_TICK, RETRY_FIRST).await?;
    futures::future::join_all(due.iter().map(|row| delete(&ctx, row))).await;
    Ok(())
}

/// How long after an erasure no call for its conversations can be under way.
fn settled(ctx: &Context) -> Duration {
    ctx.options.agent_timeout + ctx.options.worker.reconcile_grace
}

async fn delete(ctx: &Context, row: &agent_chat_deletion::Model) {
    let agent_chat = row.agent_chat_id.as_str();
    let provider = match SubaccountId::parse(&row.subaccount_id) {
        Ok(subaccount) if ctx.keys.has_own(subaccount.as_str()) => Provider::Own(subaccount),
        _ => Provider::Shared,
    };
    let deleted = match ctx.agent_key(&provider).await {
        Ok(key) => ctx.agent.delete(key.as_deref(), agent_chat).await,
        Err(err) => Err(err),
    };
    let noted = match deleted {
        Ok(()) => {
            tracing::info!(agent_chat, "agent chat deleted at its provider");
            ctx.store.agent_chat_deleted(agent_chat).await
        }
        Err(err) => {
            let exponent = u32::try_from(row.attempts - 1).unwrap_or(0).min(16);
            let delay = RETRY_FIRST.saturating_mul(2_u32.pow(exponent)).min(RETRY_MAX);
            tracing::warn!(agent_chat, class = err.class.as_str(), error = %err, "agent chat not deleted; retrying");
            ctx.store.agent_chat_not_deleted(agent_chat, &err.message, delay).await
        }
    };
    if let Err(err) = noted {
        tracing::warn!(agent_chat, error = %err, "cannot note what became of an agent chat; retrying");
    }
}
