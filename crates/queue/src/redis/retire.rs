//! Cleans up after a worker that ended.

use super::link::classified;
use crate::QueueError;
use ::redis::{Script, aio::ConnectionLike};
use apalis::prelude::WorkerContext;
use apalis_redis::Config;
use std::sync::LazyLock;

/// A job whose fetching has ended this many workers is dropped.
const LOSSES_MAX: u32 = 3;

static RETIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("retire.lua")));

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retired {
    /// Number of jobs that had been fetched but not started and wait again.
    pub(super) given_back: u64,
    /// Number of broken entries removed.
    pub(super) dropped: u64,
}

/// Cleans up a queue after one of its workers has ended. `running` are that worker's jobs still being handled
/// in this process.
///
/// Needed because of several behaviours of apalis-redis 1.0.0:
/// - a worker that ends leaves a fetch in flight, even if it was asked to end; the job would wait until the
///   worker counts as dead;
/// - an entry without data or metadata ends every worker that fetches it, for ever;
/// - with 8,000 jobs in the sorted set every fetch fails, for ever;
/// - a worker that closes removes itself from the set of workers under a wrong name, and so stays there.
pub(super) async fn retire(
    conn: &mut impl ConnectionLike,
    config: &Config,
    worker: &WorkerContext,
    running: &[String],
) -> Result<Retired, QueueError> {
    let mut call = RETIRE.prepare_invoke();
    call.key(config.inflight_set_for(worker))
        .key(config.active_jobs_list())
        .key(config.scheduled_jobs_set())
        .key(config.job_data_hash())
        .key(config.job_meta_hash())
        .key(config.workers_set())
        .key(config.worker_metadata_key(worker))
        .key(format!("{}:losses", config.queue))
        .arg(worker.name())
        .arg(LOSSES_MAX);
    for id in running {
        call.arg(id);
    }
    let (given_back, dropped) = call.invoke_async(conn).await.map_err(|error| classified(&error))?;
    Ok(Retired { given_back, dropped })
}
