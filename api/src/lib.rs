//! The API process: Meta's webhooks in, the REST API for the frontend out.
//!
//! The webhook path is HMAC, one parse and one group-committed insert: no other SQL once warm, no outgoing
//! call. Everything else may take its time.

mod access;
mod extract;
mod problem;
mod process;
mod pusher;
mod routes;
mod snapshot;
mod state;
mod views;

pub use process::{Args, Command, run, serve};
pub use state::{ApiOptions, ApiParts, ApiState};
