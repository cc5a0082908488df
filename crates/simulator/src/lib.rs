//! A simulator of Meta's Graph API (both hosts) and Retell's chat API.
//!
//! It enforces their documented rules, records what reached it, sends webhooks as Meta does, and misbehaves
//! on request. It has its own message types, so that it cannot share a connector's mistakes. Where the
//! documentation is incomplete, behaviour is a setting whose default is marked as an assumption; the README
//! lists them.

mod act;
mod cdn;
mod clock;
mod control;
mod engine;
mod faults;
mod graph;
mod ids;
mod login;
mod operation;
mod record;
mod retell;
mod server;
mod settings;
mod simulator;
mod webhook;
mod words;
mod world;

#[cfg(test)]
mod tests;

pub use act::{Act, Batch, BatchMessage};
pub use cdn::Medium;
pub use faults::{Fault, FaultMode, FaultState};
pub use login::{LoginSettings, MetaApp, UnlinkedPage};
pub use operation::{Operation, Service};
pub use record::{Attempt, Completion, DeliveredUpdate, Delivery, Latencies, Record, SenderAction, Sent};
pub use retell::{AgentRule, Chat, ChatStatus, ReplyRule, UserTurn, WordAnswer};
pub use settings::{Echo, GraphSettings, Options, RetellSettings, Settings, WebhookSettings, WebhookTarget};
pub use simulator::{Customer, Failed, Simulator, Thread};
pub use webhook::{Handshake, RawWebhook, ReleaseOrder, SentRaw, Signing};
pub use words::{Words, WordsCall};
pub use world::account::{AccountSpec, LoginKind, TokenState};
pub use world::action::Action;
pub use world::thread::{Author, Message, Person};
