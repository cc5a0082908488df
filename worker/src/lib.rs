//! The worker: takes events in, asks the agent, and sends its replies. As many processes as wanted run side by side; the
//! chats' locks and the workers' rows in the database say who works on what.
//!
//! A message's way: `ingest` claims events and applies `Receive`; `follow` carries out what each commit asks for; `calls`
//! makes the calls and records what they bring, which asks for the next.

mod accounts;
mod breakers;
mod calls;
mod commands;
mod context;
mod dispatch;
mod follow;
mod handler;
mod ingest;
mod liveness;
mod process;
mod services;
mod slots;
mod timers;

pub use context::{Context, Options, Parts};
pub use process::{Args, Worker, run};
