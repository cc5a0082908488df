//! Every SQL statement of dmrelay. SQL is the truth: what is not in a row did not happen.
//!
//! Rules every statement keeps:
//! - No transaction is open during an outgoing call: lease, call, complete.
//! - Times that are compared are read from the database's clock inside the statement.
//! - Whatever changes a chat's messages or turns first locks the chat's row ([`Tx::lock_chat`]); a decision
//!   made under that lock cannot be overtaken.
//! - Outcomes are recorded by `WHERE state = … AND attempt = …`, so a late one is kept if it is still the
//!   answer to the question, and dropped if it is not.

mod activities;
mod api_keys;
mod chats;
mod connect;
mod connections;
mod dead_letters;
mod dialect;
mod error;
mod gates;
mod gauges;
mod history;
mod inbox;
mod inbox_writer;
mod ingest;
mod leader;
mod outbox;
mod retention;
mod sweep;
mod takeover;
mod turns;

pub use activities::{Activity, ActivityKind};
pub use api_keys::{ApiKey, NewApiKey};
pub use chats::{LockedChat, Profile};
pub use connect::{Options, Store, Tx};
pub use connections::{Connection, Credentials, NewConnection, Settings, Snapshot};
pub use dead_letters::{DeadLetter, Subject};
pub use error::{Error, Result};
pub use gates::{Gate, GateKey};
pub use gauges::{Backlog, Due};
pub use history::{Listed, MessageFilter, Page};
pub use inbox::{NewEvent, Stored};
pub use inbox_writer::{InboxOptions, InboxWriter, OnStored, Unavailable};
pub use ingest::{Claim, ClaimedEvent, NewMessage};
pub use leader::Leadership;
pub use outbox::{Claimed, OutboxState, Refusal, Reply};
pub use retention::Kept;
pub use sweep::{DueChat, DueEvent};
pub use takeover::echo_reason;
pub use turns::{Leased, NewTurn, Verdict};

pub use dmrelay_entity as entity;
