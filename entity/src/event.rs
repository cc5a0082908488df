//! The inbox: an event of Meta.

use crate::Word;
use dmrelay_domain::event::{Container, Kind};
use dmrelay_domain::ids::EventId;
use dmrelay_domain::states::EventState;
use dmrelay_domain::trace::TraceId;
use sea_orm::entity::prelude::*;

/// One row of `events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// What makes it unique.
    pub key: Vec<u8>,
    /// Account.
    pub account: String,
    /// Thread.
    pub thread: String,
    /// The kind of event.
    pub kind: Word<Kind>,
    /// The part of the webhook it was in.
    pub container: Word<Container>,
    /// Raw.
    pub raw: Option<Vec<u8>>,
    /// Meta's time of it, or ours.
    pub at: i64,
    /// Received at, in milliseconds.
    pub received_at: i64,
    /// Due at, in milliseconds.
    pub due_at: Option<i64>,
    /// Claimed until, in milliseconds.
    pub claimed_until: i64,
    /// Attempts.
    pub attempts: i32,
    /// Dispatch no.
    pub dispatch_no: i32,
    /// Its state.
    pub state: Word<EventState>,
    /// Error.
    pub error: Option<String>,
    /// When it could be taken in: when it was stored, or when its wait for its account's budget is over.
    pub ready_at: Option<i64>,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
