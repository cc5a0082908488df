//! Every SQL statement of dmrelay. SQL is the truth: what is not in a row did not happen.
//!
//! Rules every statement keeps:
//! - No transaction is open during an outgoing call.
//! - Times that are compared are read from the database's clock inside the statement.
//! - Whatever changes a conversation is a command, applied by [`Store::transact`] under its chat's lock.

mod activities;
mod agent_chats;
mod agents;
mod api_keys;
mod backfills;
mod breakers;
mod bulk;
mod chat_list;
mod chat_summaries;
mod chats;
mod checks;
mod conditions;
mod connect;
mod connect_sessions;
mod connections;
mod conversation;
mod conversations;
mod dead_letters;
mod deliveries;
mod diagnosis;
mod dialect;
mod due;
mod erase;
mod erasing;
mod erasures;
mod error;
mod gauges;
mod health;
mod history;
mod idempotency;
mod inbox;
mod inbox_profiles;
mod inbox_writer;
mod incidents;
mod ingest;
mod leader;
mod meta_apps;
mod moving;
mod notification_targets;
mod notifications;
mod operator;
mod pages;
mod pauses;
mod pools;
mod processes;
mod prompt_echoes;
mod provider_keys;
mod query;
mod replies;
mod requests;
mod restored;
mod retention;
mod seals;
mod server;
mod sessions;
mod settings;
mod signs;
mod tokens;
mod traces;
mod triage;
mod turn_counts;
mod usage;
mod waiting;

pub use activities::{Activity, ActivityFilter};
pub use agents::{Bound, Released};
pub use api_keys::{ApiKey, NewApiKey};
pub use backfills::Looked;
pub use breakers::{Admit, BreakerKey, BreakerState, REFUSED};
pub use chat_list::{ChatCounts, ChatFilter};
pub use chat_summaries::ChatSummary;
pub use chats::Profile;
pub use checks::{CheckCount, Finding};
pub use connect::{Options, Pool, Store, Tx};
pub use connect_sessions::{Claimed, NewConnectSession, SessionEnd};
pub use connections::{Connection, Credentials, NewConnection, Snapshot};
#[doc(hidden)]
pub use conversations::round_trip;
pub use conversations::{
    Applied, ApplyError, Batcher, BatcherOptions, ChatIds, ChatOfUser, EVENTS_MAX, Outcome,
};
pub use dead_letters::DeadLetterFilter;
pub use deliveries::{AttemptOutcome, ClaimedNotification};
pub use due::{Attempts, DueChat, DueEvent, DueWork};
pub use erase::{AGENT_CALLS_SETTLED, Erased};
pub use erasures::NewErasure;
pub use error::{Error, Result};
pub use gauges::{AccountCounts, AccountInNeed, Backlog, Due, OpenBreakers};
pub use health::Health;
pub use history::{Listed, MessageFilter};
pub use idempotency::{Begun, WriteKey};
pub use inbox::{NewEvent, Stored};
pub use inbox_writer::{Batch, InboxOptions, InboxWriter, OnStored, Unavailable};
pub use incidents::IncidentFilter;
pub use ingest::ClaimedEvent;
pub use leader::Leadership;
pub use meta_apps::NewMetaApp;
pub use moving::Moved;
pub use notification_targets::{NewTarget, Owner, TargetChange};
pub use notifications::NotificationFilter;
pub use operator::{BreakerRow, EventSearch, LetterSearch};
pub use pages::Page;
pub use pauses::{Call, NewPause, Pause, PauseKey, PauseScope};
pub use processes::ProcessInfo;
pub use replies::Fate;
pub use requests::Replay;
pub use restored::Distrusted;
pub use retention::Kept;
pub use seals::{NO_KEY, SEALED, Sealed, SealedColumn};
pub use server::{Postgres, Server};
pub use sessions::{NewSession, Session};
pub use settings::{AgentChanged, Settings};
pub use signs::SeenSign;
pub use tokens::Renewed;
pub use triage::{Assigned, Triage};
pub use turn_counts::{TurnCount, TurnHold};
pub use usage::{BudgetLimits, BudgetUse, UsageFilter, day_of};
pub use waiting::Waiting;

pub use dmrelay_domain::states::{ActivityKind, DeadLetterState, Folder};
pub use dmrelay_entity as entity;
