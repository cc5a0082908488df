//! Removes the remains of finished jobs from Redis.
//!
//! apalis-redis 1.0.0 keeps about a kilobyte of every finished job for ever. Its own `vacuum` must not be
//! called: it deletes the payload of jobs waiting for a retry, and the next fetch then ends the worker.

use super::{Shared, link::classified};
use crate::{Lane, QueueError};
use ::redis::{Script, aio::ConnectionManager};
use apalis_redis::Config;
use std::sync::{Arc, LazyLock};
use tokio::time::MissedTickBehavior;
use tracing::debug;

/// Jobs removed per script call, which must not block Redis for long.
const PORTION: u64 = 250;
/// Maximum number of script calls per queue and tick.
const PORTIONS_MAX: u64 = 80;
/// How long the data of a killed worker is retained after it was last seen.
const WORKER_RETENTION_SECONDS: u64 = 3_600;

static SWEEP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cleanup.lua")));

/// Periodically cleans the queues of these lanes, for ever. After an error it retries on the next tick.
pub(super) async fn keep_clean(shared: Arc<Shared>, lanes: Vec<Lane>) {
    let configs: Vec<Config> = lanes.iter().map(|lane| shared.config(lane.queue)).collect();
    let mut beat = tokio::time::interval(shared.options.clean_up_beat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let Ok(mut conn) = shared.link.lazy(shared.options.response_timeout) else {
        return;
    };
    loop {
        beat.tick().await;
        for config in &configs {
            match clean(&mut conn, config).await {
                Ok(0) => {}
                Ok(removed) => debug!(queue = %config.queue, removed, "finished jobs removed"),
                Err(error) => debug!(queue = %config.queue, %error, "cannot remove finished jobs"),
            }
        }
    }
}

async fn clean(conn: &mut ConnectionManager, config: &Config) -> Result<u64, QueueError> {
    let mut removed = 0;
    for _ in 0..PORTIONS_MAX {
        let portion: u64 = SWEEP
            .key(config.done_jobs_set())
            .key(config.dead_jobs_set())
            .key(config.job_data_hash())
            .key(config.job_meta_hash())
            .key(config.workers_set())
            .arg(PORTION)
            .arg(WORKER_RETENTION_SECONDS)
            .arg(format!("{}:workers:metadata:", config.queue))
            .invoke_async(conn)
            .await
            .map_err(|error| classified(&error))?;
        removed += portion;
        if portion < PORTION {
            break;
        }
    }
    Ok(removed)
}
