//! The job queue: push ids, and run handlers on them.
//!
//! SQL is the source of truth for every job; this crate only wakes the right worker soon. It may deliver a
//! job twice, and it may lose one: the row says what is still due, and the poller pushes it again.
//!
//! apalis is used only in this crate, and only under `redis`. The port ([`JobQueue`], [`JobHandler`]) has two
//! implementations: [`RedisQueue`] for production and [`MemoryQueue`] for the embedded backend. Both are
//! tested by the suite in `conformance` (a cargo feature).

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
