//! What is still to be erased of somebody in the large tables: events of the inbox and entries of the activity log, which are
//! read page by page.

use dmrelay_domain::ids::{ActivityId, ChatId, ConnectionId, EventId};
use sea_orm::entity::prelude::*;

/// One row of `erased_traces`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erased_traces")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The connection.
    pub connection_id: ConnectionId,
    /// The Instagram account.
    pub account: String,
    /// The Instagram user; empty for everybody who wrote to the account.
    pub instagram_user_id: String,
    /// The conversation that was erased.
    pub chat_id: Option<ChatId>,
    /// What was received until then, in milliseconds.
    pub until: i64,
    /// Events up to this one are done; none if all are.
    pub events_after: Option<EventId>,
    /// Whether the events are being looked through for it.
    pub events_started: bool,
    /// Entries of the log up to this one are done; none if all are.
    pub log_after: Option<ActivityId>,
    /// Whether the log is being looked through for it.
    pub log_started: bool,
    /// When a page of its subaccount's log was last looked through, in milliseconds.
    pub served_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
