//! Deletes rows past their retention, in batches.

use crate::Context;
use dmrelay_store::{Kept, Result};
use std::sync::Arc;

/// Rows deleted by one statement.
const BATCH: u64 = 1_000;

/// Conversations erased by one tick.
const CHATS_PER_TICK: u64 = 500;

pub(super) async fn tick(ctx: Arc<Context>) -> Result<()> {
    ctx.store.forget_processes().await?;
    ctx.store.forget_breakers().await?;
    ctx.store.forget_pauses().await?;
    let worker = &ctx.options.worker;
    ctx.store.forget_prompt_echoes().await?;
    ctx.store.forget_turn_counts().await?;
    let kept = Kept {
        events: worker.retention_events,
        unrouted: worker.retention_unrouted,
        dead: worker.retention_dead_events,
        ..Kept::default()
    };
    let store = &ctx.store;
    // Each kind on its own: one that fails keeps no other from being deleted.
    noted(batches("events", kept.batch, || store.forget_events(&kept)).await);
    if let Some(age) = worker.retention_messages {
        noted(batches("messages", BATCH, || store.forget_messages(age, BATCH)).await);
    }
    if let Some(age) = worker.retention_messages {
        noted(batches("comments", BATCH, || store.forget_comments(age, BATCH)).await);
        noted(batches("broadcasts", 1, || store.forget_broadcasts(age, BATCH)).await);
    }
    if let Some(age) = worker.media.retention_media {
        noted(batches("media", BATCH, || store.forget_media(age, false, BATCH)).await);
    }
    if let Some(age) = worker.retention_messages {
        noted(batches("media of deleted messages", BATCH, || store.forget_media(age, true, BATCH)).await);
    }
    if let Some(age) = worker.retention_turns {
        noted(batches("turns", BATCH, || store.forget_turns(age, BATCH)).await);
        noted(store.forget_agent_chats(age).await.map(|left| told("agent chats", left)));
    }
    if let Some(age) = worker.retention_dead_letters {
        noted(batches("dead letters", BATCH, || store.forget_letters(age, BATCH)).await);
    }
    if let Some(age) = worker.retention_usage {
        noted(store.forget_usage(age).await.map(|deleted| told("days of usage", deleted)));
    }
    noted(store.forget_sessions().await.map(|deleted| told("sessions", deleted)));
    let sessions = store.forget_connect_sessions(worker.retention_connect_sessions).await;
    noted(sessions.map(|deleted| told("connect sessions", deleted)));
    let age = worker.incidents.retention_notifications;
    noted(batches("test notifications", BATCH, || store.forget_tests(age, BATCH)).await);
    noted(batches("incidents", BATCH, || store.forget_incidents(age, BATCH)).await);
    if let Some(age) = worker.retention_activities {
        noted(store.forget_old_activities(age).await.map(|deleted| told("activities", deleted)));
    }
    if let Some(age) = worker.retention_chats {
        let forgotten = store.forget_chats(age, CHATS_PER_TICK).await;
        noted(forgotten.map(|deleted| told("conversations", deleted)));
    }
    Ok(())
}

fn noted(deleted: Result<()>) {
    if let Err(err) = deleted {
        tracing::warn!(error = %err, "cannot delete what is past its retention; retrying");
    }
}

/// Deletes batch after batch until one is not full.
async fn batches<F: Future<Output = Result<u64>>>(
    what: &str,
    batch: u64,
    forget: impl Fn() -> F,
) -> Result<()> {
    loop {
        let deleted = forget().await?;
        told(what, deleted);
        if deleted < batch {
            return Ok(());
        }
    }
}

fn told(what: &str, deleted: u64) {
    if deleted > 0 {
        tracing::info!(deleted, "{what} past their retention deleted");
    }
}
