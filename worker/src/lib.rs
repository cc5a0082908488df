//! The worker: turns events of the inbox into messages, asks the agent, and sends its replies. As many
//! processes as wanted run side by side; leases in the database say who works on what.

mod context;
mod deliver;
mod dispatch;
mod gates;
mod handler;
mod ingest;
mod lease;
mod process;
mod services;
mod share;
mod turn;

pub use context::{Context, Options, Parts};
pub use dispatch::Dispatcher;
pub use process::{Args, Worker, run};
