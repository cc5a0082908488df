//! Fetches the media of customers, once, since Meta's links expire; and deletes those whose messages are gone. Each row is claimed for one
//! attempt. Not by way of the queue: nobody waits for it in milliseconds, and a message never waits for its media.

use crate::Context;
use dmrelay_domain::media::MediaState;
use dmrelay_domain::retry;
use dmrelay_media::{Fetched, Fetcher, NotFetched, Storage, thumbnail};
use dmrelay_store::MediaOutcome;
use dmrelay_store::entity::media::Model;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it is looked what is due, besides when something has come.
const TICK: Duration = Duration::from_secs(1);

/// Time beside the call to Meta, for the store's.
const LEASE_MARGIN: Duration = Duration::from_mins(3);

/// What is needed to keep media.
pub(crate) struct Media {
    pub(crate) fetcher: Fetcher,
    pub(crate) storage: Storage,
}

/// Fetches what is due, until `shutdown`. Attempts under way are finished.
pub(crate) async fn run(ctx: Arc<Context>, media: Arc<Media>, shutdown: CancellationToken) {
    let settings = &ctx.options.worker.media;
    let at_a_time = usize::from(settings.media_concurrency);
    let lease = media.fetcher.timeout() + LEASE_MARGIN;
    let mut attempts = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = async {
            tokio::select! {
                _ = ticks.tick() => {}
                () = ctx.media_came.notified() => {}
                Some(_) = attempts.join_next() => {}
            }
        };
        if shutdown.run_until_cancelled(next).await.is_none() {
            break;
        }
        while attempts.try_join_next().is_some() {}
        let free = at_a_time.saturating_sub(attempts.len());
        if free == 0 || !ctx.liveness.is_alive() {
            continue;
        }
        match ctx.store.claim_media(lease, free).await {
            Ok(claimed) => {
                for row in claimed {
                    let (ctx, media) = (ctx.clone(), media.clone());
                    let tasks = ctx.tasks.clone();
                    attempts.spawn(tasks.track_future(async move { attempt(&ctx, &media, &row).await }));
                }
            }
            Err(err) => tracing::warn!(error = %err, "cannot look which media are due; retrying"),
        }
    }
    // They have the grace period of all started work.
    attempts.detach_all();
}

async fn attempt(ctx: &Context, media: &Media, row: &Model) {
    if row.state == MediaState::Gone {
        return delete(ctx, &media.storage, row).await;
    }
    let outcome = match fetch(media, row).await {
        Ok(fetched) => keep(media, row, fetched).await,
        Err(err) => Err(err),
    };
    let outcome = outcome.unwrap_or_else(|err| after(ctx, row, err));
    let result = match &outcome {
        MediaOutcome::Stored { bytes, content_type, .. } => {
            tracing::info!(media = %row.id, chat = %row.chat_id, bytes, content_type, "medium stored");
            "stored"
        }
        MediaOutcome::Again(wait, why) => {
            tracing::warn!(media = %row.id, attempts = row.attempts, ?wait, why, "medium not fetched; trying again");
            "retry"
        }
        MediaOutcome::Over(state, why) => {
            tracing::warn!(media = %row.id, attempts = row.attempts, state = state.as_str(), why, "medium not fetched");
            state.as_str()
        }
    };
    ctx.metrics.media.with_label_values(&[result]).inc();
    let recorded = ctx.store.record_medium(row, &outcome).await;
    let MediaOutcome::Stored { name, .. } = &outcome else {
        if let Err(err) = recorded {
            tracing::warn!(media = %row.id, error = %err, "cannot record that a medium was not fetched");
        }
        return;
    };
    // Whatever happened to its message meanwhile: nothing stays in the store that no row names.
    let what = match recorded {
        Ok(true) => return,
        Ok(false) => "it is not wanted any more".to_owned(),
        Err(err) => err.to_string(),
    };
    tracing::warn!(media = %row.id, why = what, "a medium was stored in vain");
    for name in [name.clone(), thumbnail_of(name)] {
        if let Err(err) = media.storage.delete(&name).await {
            tracing::warn!(media = %row.id, error = %err, "cannot delete a medium that was stored in vain");
        }
    }
}

async fn fetch(media: &Media, row: &Model) -> Result<Fetched, NotFetched> {
    let url = row.url.as_deref().ok_or_else(|| NotFetched::Never("it has no address".to_owned()))?;
    media.fetcher.fetch(url, row.kind == "audio").await
}

/// Puts a medium into the store, and a thumbnail of a picture.
async fn keep(media: &Media, row: &Model, fetched: Fetched) -> Result<MediaOutcome, NotFetched> {
    let failed = |err: dmrelay_media::StoreError| NotFetched::Later(err.to_string());
    // The folder of an account, and a name that says nothing.
    let name = format!("{}/{}", row.connection_id, Uuid::new_v4().simple());
    let Fetched { bytes, kind } = fetched;
    let picture = bytes.clone();
    let small = tokio::task::spawn_blocking(move || {
        thumbnail(&picture).filter(|_| kind.as_str().starts_with("image/"))
    });
    let small = small.await.unwrap_or_default();
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    media.storage.put(&name, bytes).await.map_err(failed)?;
    let has_thumbnail = small.is_some();
    if let Some(small) = small {
        media.storage.put(&thumbnail_of(&name), small).await.map_err(failed)?;
    }
    Ok(MediaOutcome::Stored { name, content_type: kind.as_str(), bytes: size, has_thumbnail })
}

/// What becomes of a medium after a failed attempt.
fn after(ctx: &Context, row: &Model, err: NotFetched) -> MediaOutcome {
    let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
    match err {
        NotFetched::Expired(why) => MediaOutcome::Over(MediaState::Expired, why),
        NotFetched::Never(why) => MediaOutcome::Over(MediaState::Failed, why),
        NotFetched::Later(why) if attempts >= ctx.options.worker.media.media_attempts => {
            MediaOutcome::Over(MediaState::Failed, why)
        }
        NotFetched::Later(why) => {
            MediaOutcome::Again(retry::MEDIA.part_of(attempts, rand::random_range(0.5..1.0)), why)
        }
    }
}

/// The name of a medium's thumbnail.
fn thumbnail_of(name: &str) -> String {
    format!("{name}.thumbnail")
}

/// Deletes a medium from the store, and then its row.
async fn delete(ctx: &Context, storage: &Storage, row: &Model) {
    let mut is_deleted = true;
    for name in row.name.iter().flat_map(|name| [name.clone(), thumbnail_of(name)]) {
        if let Err(err) = storage.delete(&name).await {
            is_deleted = false;
            tracing::warn!(media = %row.id, error = %err, "cannot delete a medium; retrying");
        }
    }
    if is_deleted {
        ctx.metrics.media.with_label_values(&["deleted"]).inc();
    }
    if let Err(err) = ctx.store.record_deleted_medium(row.id, is_deleted).await {
        tracing::warn!(media = %row.id, error = %err, "cannot record that a medium was deleted");
    }
}
