//! The worker: ingests events, asks the agent, and sends its replies. Any number of processes run side by
//! side; chat locks and the workers' rows in the database determine who works on what.
//!
//! The path of a message: `ingest` claims events and applies `Receive`; `follow` carries out the effects of
//! each commit; `calls` makes the calls and records their outcomes, which leads to the next effects.

mod accounts;
mod automation;
mod backfill;
mod breakers;
mod broadcasts;
mod budgets;
mod calls;
mod commands;
mod comments;
mod context;
mod dispatch;
mod follow;
mod handler;
mod inbox;
mod ingest;
mod keys;
mod liveness;
mod media;
mod notify;
mod process;
mod rounds;
mod services;
mod slots;
mod timers;
mod understanding;

pub use context::{Context, Options, Parts};
pub use process::{Args, Worker, run};
