//! The API process: Meta's webhooks in, the REST API for the frontend out.
//!
//! The webhook path is an HMAC, one parse and one group-committed insert: no other SQL once warm, and no
//! outgoing call. Everything else may take longer.

mod access;
mod bodies;
mod budget;
mod canary;
mod checks;
mod connect;
mod console;
mod extract;
mod front;
mod gaps;
mod health;
mod html;
mod idempotency;
mod jwt;
mod limit;
mod listener;
mod live;
mod openapi;
mod problem;
mod process;
mod pusher;
mod readers;
mod routes;
mod services;
mod settings;
mod signs;
mod snapshot;
mod state;

pub use console::demo::{Demo, DemoButton, DemoCard, DemoCustomer, DemoDeed, DemoMessage, DemoTrouble};
pub use process::{Api, Args, Command, run};
pub use state::{ApiOptions, ApiParts, ApiState};

/// The OpenAPI 3.1 document of the REST API.
pub fn openapi_document() -> serde_json::Value {
    routes::document()
}
