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
mod chat_list;
mod chats;
mod connect;
mod connections;
mod conversation;
mod dead_letters;
mod dialect;
mod error;
mod gates;
mod gauges;
mod history;
mod idempotency;
mod inbox;
mod inbox_writer;
mod ingest;
mod leader;
mod meanwhile;
mod operator;
mod outbox;
mod pages;
mod replay;
mod restored;
mod retention;
mod seals;
mod sent;
mod server;
mod settings;
mod sweep;
mod takeover;
mod tokens;
mod turns;

pub use activities::{Activity, ActivityFilter};
pub use api_keys::{ApiKey, NewApiKey};
pub use chat_list::{ChatCounts, ChatFilter};
pub use chats::{LockedChat, Profile};
pub use connect::{Options, Pool, Store, Tx};
pub use connections::{Connection, Credentials, NewConnection, Snapshot};
pub use dead_letters::{DeadLetter, DeadLetterFilter, Subject};
pub use error::{Error, Result};
pub use gates::{Gate, GateKey};
pub use gauges::{AccountCounts, Backlog, ClosedGates, Due};
pub use history::{Listed, MessageFilter};
pub use idempotency::{Begun, WriteKey};
pub use inbox::{NewEvent, Stored};
pub use inbox_writer::{Batch, InboxOptions, InboxWriter, OnStored, Unavailable};
pub use ingest::{Claim, ClaimedEvent, NewMessage};
pub use leader::Leadership;
pub use operator::{GateRow, LetterSearch};
pub use outbox::{Claimed, Refusal, Reply};
pub use pages::Page;
pub use replay::Replay;
pub use restored::Distrusted;
pub use retention::Kept;
pub use seals::{NO_KEY, SEALED, Sealed, SealedColumn};
pub use sent::Acceptance;
pub use server::{Postgres, Server};
pub use settings::Settings;
pub use sweep::{DueChat, DueEvent};
pub use takeover::echo_reason;
pub use tokens::Renewed;
pub use turns::{Leased, NewTurn, Verdict};

pub use dmrelay_domain::states::{ActivityKind, DeadLetterState};
pub use dmrelay_entity as entity;
