//! What one target is told, and what became of it.

use crate::Word;
use dmrelay_domain::ids::{IncidentId, NotificationId, NotificationTargetId};
use dmrelay_domain::notification::{Attempt, NotificationState, NotificationType};
use sea_orm::entity::prelude::*;

/// One row of `notifications`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    /// Our id; receivers tell repeated deliveries by it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NotificationId,
    /// Who is told.
    pub target_id: NotificationTargetId,
    /// Whose target that is; empty for the operator's.
    pub subaccount_id: String,
    /// The incident; `None` for a test.
    pub incident_id: Option<IncidentId>,
    /// What it says.
    #[sea_orm(column_name = "type")]
    pub kind: Word<NotificationType>,
    /// Its state.
    pub state: Word<NotificationState>,
    /// Attempts, with one that is under way.
    pub attempts: i32,
    /// The attempts that have ended, as JSON: a list of [`Attempt`].
    pub log: String,
    /// When it is to be delivered next, in milliseconds.
    pub due_at: i64,
    /// Until when a worker has it, in milliseconds.
    pub claimed_until: i64,
    /// When the row was made, in milliseconds.
    pub created_at: i64,
    /// When it was delivered or given up, in milliseconds.
    pub finished_at: Option<i64>,
}

impl Model {
    /// The attempts that have ended.
    pub fn attempts_made(&self) -> Vec<Attempt> {
        Attempt::read_all(&self.log)
    }
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// Who is told.
    #[sea_orm(
        belongs_to = "super::notification_target::Entity",
        from = "Column::TargetId",
        to = "super::notification_target::Column::Id"
    )]
    Target,
    /// The incident.
    #[sea_orm(
        belongs_to = "super::incident::Entity",
        from = "Column::IncidentId",
        to = "super::incident::Column::Id"
    )]
    Incident,
}

related! {
    super::notification_target::Entity => Target,
    super::incident::Entity => Incident,
}

impl ActiveModelBehavior for ActiveModel {}
