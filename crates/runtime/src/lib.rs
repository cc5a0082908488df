//! What every dmrelay process needs besides the pipeline: settings, logs, metrics, shutdown, and the HTTP
//! client for outgoing calls.

pub mod http;
pub mod logs;
pub mod metrics;
pub mod ops;
#[cfg(feature = "otlp")]
mod otlp;
pub mod public;
pub mod settings;
pub mod shutdown;
pub mod trace;
pub mod version;
pub mod watch;
