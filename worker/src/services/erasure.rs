//! Erases what was asked to be erased: accounts, subaccounts, and chats at the agent's provider.

use crate::Context;
use crate::keys::key_of;
use dmrelay_domain::conversation::Provider;
use dmrelay_domain::ids::SubaccountId;
use dmrelay_store::Result;
use dmrelay_store::entity::agent_chat_deletion;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Agent chats deleted by one tick, each by a call.
const AGENT_CHATS_PER_TICK: u64 = 20;

/// Erasures that one tick goes on with.
const ERASURES_PER_TICK: u64 = 10;

/// Pages of the inbox and of the log that one tick reads for traces of who was erased.
const PAGES_PER_TICK: u32 = 10;

/// How long one tick goes on with erasures.
const TICK_MAX: Duration = Duration::from_secs(4);

/// First and longest time until the deletion of an agent chat is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_hours(6);

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    let began = Instant::now();
    for erasure in ctx.store.due_erasures(ERASURES_PER_TICK).await? {
        // One that fails keeps no other from being done; one that has more to do comes again after the others.
        let delay = match ctx.store.go_on_erasing(&erasure, settled(&ctx)).await {
            Ok(true) => {
                tracing::info!(erasure = %erasure.id, subaccount = erasure.subaccount_id, "erased");
                continue;
            }
            Ok(false) => Duration::ZERO,
            Err(err) => {
                tracing::warn!(erasure = %erasure.id, error = %err, "cannot go on with an erasure; retrying");
                RETRY_FIRST
            }
        };
        if let Err(err) = ctx.store.put_off_erasure(erasure.id, delay).await {
            tracing::warn!(erasure = %erasure.id, error = %err, "cannot put an erasure off");
        }
        if began.elapsed() > TICK_MAX {
            break;
        }
    }
    if let Err(err) = ctx.store.go_on_with_traces(PAGES_PER_TICK).await {
        tracing::warn!(error = %err, "cannot look for what names those who were erased; retrying");
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
    let noted = match delete_there(ctx, row).await {
        Ok(()) => {
            tracing::info!(agent_chat, "agent chat deleted at its provider");
            ctx.store.agent_chat_deleted(agent_chat).await
        }
        Err(why) => put_off(ctx, row, &why).await,
    };
    if let Err(err) = noted {
        tracing::warn!(agent_chat, error = %err, "cannot note what became of an agent chat; retrying");
    }
}

/// Deletes an agent chat with the key with which it was opened, or the one that its subaccount has now. That there is no such
/// chat is believed only with the former.
async fn delete_there(ctx: &Context, row: &agent_chat_deletion::Model) -> std::result::Result<(), String> {
    let provider = match (row.key_id, SubaccountId::parse(&row.subaccount_id)) {
        (Some(_), Ok(subaccount)) => Provider::Own(subaccount),
        _ => Provider::Shared,
    };
    let own = ctx.agent_key(&provider).await.map_err(|err| err.to_string())?;
    let is_same = own.as_ref().map(|own| own.id) == row.key_id;
    let deleted = ctx.agent.delete(key_of(own.as_ref()), &row.agent_chat_id).await;
    let was_there = deleted.map_err(|err| err.to_string())?;
    if was_there || is_same {
        return Ok(());
    }
    Err("the subaccount has another key now, which does not find it".to_owned())
}

async fn put_off(ctx: &Context, row: &agent_chat_deletion::Model, why: &str) -> Result<()> {
    let agent_chat = row.agent_chat_id.as_str();
    let exponent = u32::try_from(row.attempts - 1).unwrap_or(0).min(16);
    let delay = RETRY_FIRST.saturating_mul(2_u32.pow(exponent)).min(RETRY_MAX);
    let most = ctx.options.worker.agent_chat_deletion_time;
    if ctx.store.agent_chat_not_deleted(agent_chat, why, delay, most).await? {
        tracing::error!(agent_chat, error = why, "agent chat not deleted at its provider, and given up");
    } else {
        tracing::warn!(agent_chat, error = why, "agent chat not deleted at its provider; retrying");
    }
    Ok(())
}
