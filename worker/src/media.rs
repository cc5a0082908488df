//! Fetches the media of customers, once, since Meta's links expire; and deletes those whose messages are gone. Each row is claimed for one
//! attempt. Not by way of the queue: nobody waits for it in milliseconds, and a message never waits for its media.

use crate::Context;
use crate::rounds::{Rounds, TICK};
use crate::understanding::{self, Desk};
use dmrelay_domain::media::MediaState;
use dmrelay_domain::retry::{MEDIA_CAP, Schedule};
use dmrelay_media::{Fetched, Fetcher, Interpreter, NotFetched, Storage, StoreError, thumbnail_in_turn};
use dmrelay_store::MediaOutcome;
use dmrelay_store::entity::media::Model;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time beside the calls to Meta and to the store.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// Media deleted from the store in one go.
const DELETIONS: u64 = 100;

/// The fetcher and the store of media.
pub(crate) struct Media {
    pub(crate) fetcher: Fetcher,
    pub(crate) storage: Storage,
    /// Puts media into words.
    pub(crate) interpreter: Option<Interpreter>,
    /// Who is put into words.
    pub(crate) desk: Desk,
}

/// Fetches what is due, until `shutdown`. Attempts under way are finished.
pub(crate) async fn run(ctx: Arc<Context>, media: Arc<Media>, shutdown: CancellationToken) {
    let settings = &ctx.options.worker.media;
    let at_a_time = usize::from(settings.media_concurrency);
    let lease = media.fetcher.timeout() + media.storage.timeout() * 2 + LEASE_MARGIN;
    let deleting = tokio::spawn(delete_all(ctx.clone(), media.clone(), shutdown.clone()));
    let rounds = Rounds { what: "media", at_a_time, woken: &ctx.media_came };
    let claim = |free| ctx.store.claim_media(lease, free);
    let attempt = |row| {
        let (ctx, media) = (ctx.clone(), media.clone());
        async move { attempt(&ctx, &media, &row).await }
    };
    rounds.run(&ctx, shutdown, claim, attempt).await;
    // It ends with `shutdown`, too.
    drop(deleting.await);
}

/// Deletes from the store what is to be deleted, apart from what is fetched: neither waits for the other.
async fn delete_all(ctx: Arc<Context>, media: Arc<Media>, shutdown: CancellationToken) {
    // One deletion is of two objects. What is not begun in time is another worker's.
    let one = media.storage.timeout() * 2;
    let lease = one + LEASE_MARGIN;
    loop {
        let began = Instant::now();
        let claimed = if ctx.liveness.is_alive() {
            ctx.store.claim_gone_media(lease, DELETIONS).await
        } else {
            Ok(Vec::new())
        };
        let claimed = claimed.unwrap_or_else(|err| {
            tracing::warn!(error = %err, "cannot look which media are to be deleted; retrying");
            Vec::new()
        });
        let is_all = u64::try_from(claimed.len()).unwrap_or(u64::MAX) < DELETIONS;
        for row in claimed {
            if shutdown.is_cancelled() {
                return;
            }
            if began.elapsed() + one > lease {
                break;
            }
            delete(&ctx, &media.storage, &row).await;
        }
        let pause = tokio::time::sleep(TICK);
        if is_all && shutdown.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

async fn attempt(ctx: &Arc<Context>, media: &Arc<Media>, row: &Model) {
    let mut came = None;
    let outcome = match fetch(ctx, media, row).await {
        Ok(fetched) => {
            came = Some(fetched.clone());
            keep(media, row, fetched).await
        }
        Err(err) => Err(err),
    };
    let outcome = outcome.unwrap_or_else(|err| after(ctx, row, err));
    let result = match &outcome {
        MediaOutcome::Stored { bytes, content_type, .. } => {
            tracing::info!(media = %row.id, bytes, content_type, "medium stored");
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
    let is_over = !matches!(outcome, MediaOutcome::Again(..));
    match ctx.store.record_medium(row, &outcome).await {
        Ok(true) if is_over => {
            let came = came.filter(|_| matches!(outcome, MediaOutcome::Stored { .. }));
            understanding::begin(ctx, media, row, came);
        }
        // Its message was unsent or erased meanwhile, or another worker has it.
        Ok(false) if matches!(outcome, MediaOutcome::Stored { .. }) => {
            clean_up(ctx, &media.storage, row).await;
        }
        Ok(_) => {}
        // The claim ends, and it is looked again.
        Err(err) => tracing::warn!(media = %row.id, error = %err, "cannot record what became of a medium"),
    }
}

/// What was stored in vain is deleted, unless a row still names it: then whoever has the row does.
async fn clean_up(ctx: &Context, storage: &Storage, row: &Model) {
    match ctx.store.is_medium_known(row.id).await {
        Ok(true) => {}
        Ok(false) => drop(delete_objects(storage, row).await),
        Err(err) => tracing::warn!(media = %row.id, error = %err, "cannot look whether a medium is known"),
    }
}

async fn fetch(ctx: &Context, media: &Media, row: &Model) -> Result<Fetched, NotFetched> {
    // Whatever ended the worker at the last one.
    if attempts_of(row) > ctx.options.worker.media.media_attempts {
        return Err(NotFetched::Never("it was tried too often".to_owned()));
    }
    let url = row.url.as_deref().ok_or_else(|| NotFetched::Never("it has no address".to_owned()))?;
    media.fetcher.fetch(url, row.kind == "audio").await
}

/// Puts a medium into the store, and a thumbnail of a picture.
async fn keep(media: &Media, row: &Model, fetched: Fetched) -> Result<MediaOutcome, NotFetched> {
    // Its words are the operator's: they name the place and more.
    let failed = |err: StoreError| {
        tracing::warn!(media = %row.id, error = %err, "cannot store a medium");
        NotFetched::Later("the store of media does not take it".to_owned())
    };
    let Fetched { bytes, kind } = fetched;
    let small =
        if kind.as_str().starts_with("image/") { thumbnail_in_turn(bytes.clone()).await } else { None };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    media.storage.put(&row.object(), bytes).await.map_err(failed)?;
    let has_thumbnail = small.is_some();
    if let Some(small) = small {
        media.storage.put(&row.thumbnail(), small).await.map_err(failed)?;
    }
    Ok(MediaOutcome::Stored { content_type: kind.as_str(), bytes: size, has_thumbnail })
}

fn attempts_of(row: &Model) -> u32 {
    u32::try_from(row.attempts).unwrap_or(u32::MAX)
}

/// What becomes of a medium after a failed attempt.
fn after(ctx: &Context, row: &Model, err: NotFetched) -> MediaOutcome {
    let settings = &ctx.options.worker.media;
    let attempts = attempts_of(row);
    match err {
        NotFetched::Expired(why) => MediaOutcome::Over(MediaState::Expired, why),
        NotFetched::Never(why) => MediaOutcome::Over(MediaState::Failed, why),
        NotFetched::Later(why) if attempts >= settings.media_attempts => {
            MediaOutcome::Over(MediaState::Failed, why)
        }
        NotFetched::Later(why) => {
            let schedule = Schedule { base: settings.media_retry, cap: MEDIA_CAP };
            MediaOutcome::Again(schedule.part_of(attempts, rand::random_range(0.5..1.0)), why)
        }
    }
}

/// Deletes a medium from the store, and then its row.
async fn delete(ctx: &Context, storage: &Storage, row: &Model) {
    let is_deleted = delete_objects(storage, row).await;
    if is_deleted {
        ctx.metrics.media.with_label_values(&["deleted"]).inc();
    }
    if let Err(err) = ctx.store.record_deleted_medium(row.id, is_deleted).await {
        tracing::warn!(media = %row.id, error = %err, "cannot record that a medium was deleted");
    }
}

async fn delete_objects(storage: &Storage, row: &Model) -> bool {
    let mut is_deleted = true;
    for name in [row.object(), row.thumbnail()] {
        if let Err(err) = storage.delete(&name).await {
            is_deleted = false;
            tracing::warn!(media = %row.id, error = %err, "cannot delete a medium; retrying");
        }
    }
    is_deleted
}
