//! The transport of jobs: push ids in, have handlers run on them.
//!
//! SQL holds the truth about every job; this crate only wakes the right worker soon. It may deliver a job
//! twice, and it may lose one: the row says what is still due, and the sweeper pushes it again.
//!
//! apalis appears in this crate and nowhere else, and only under `redis`. The port ([`JobQueue`],
//! [`JobHandler`]) has two implementations: [`RedisQueue`] for production and [`MemoryQueue`] for the
//! embedded footing. Both are held to the suite in `conformance` (a cargo feature).

mod crew;
mod job;
mod memory;
mod metrics;
mod port;
mod redis;
mod supervisor;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use job::{Job, QueueName};
pub use memory::{MemoryOptions, MemoryQueue};
pub use metrics::QueueMetrics;
pub use port::{JobHandler, JobQueue, Lane, Pushed, QueueError, Stop};
pub use redis::{RedisOptions, RedisQueue, RedisServer};
