//! Messages for many customers of an account.

use crate::Word;
use dmrelay_domain::ids::{BroadcastId, ChatId, ConnectionId, TemplateId, WorkerId};
use dmrelay_domain::states::BroadcastState;
use sea_orm::entity::prelude::*;

/// One row of `broadcasts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "broadcasts")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BroadcastId,
    /// The account.
    pub connection_id: ConnectionId,
    /// What it is called.
    pub name: String,
    /// Its state.
    pub state: Word<BroadcastState>,
    /// Who is to have it, as JSON.
    pub audience: String,
    /// Graph's `message` object, with variables, as JSON.
    pub message: String,
    /// Values for the variables, as JSON.
    pub variables: String,
    /// The saved message that it was made of.
    pub template_id: Option<TemplateId>,
    /// The version of it.
    pub template_version: Option<i32>,
    /// Time between two messages, in microseconds.
    pub interval_us: i64,
    /// When it begins, in milliseconds.
    pub starts_at: i64,
    /// Whether all recipients are written down.
    pub collected: bool,
    /// The last chat that was looked at for it.
    pub collected_to: Option<ChatId>,
    /// How many recipients are written down.
    pub recipients: i64,
    /// When its next message may be sent, in microseconds.
    pub next_us: i64,
    /// When it is looked at again, in milliseconds.
    pub look_at: i64,
    /// Tenths of the way that were told of.
    pub told: i32,
    /// The worker that sends it.
    pub worker: Option<WorkerId>,
    /// Until then nobody else does.
    pub reserved_until: i64,
    /// Who made it.
    pub actor: String,
    /// The id of whoever made it.
    pub actor_id: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it began.
    pub started_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
