//! Something that is wrong, from its beginning to its end.

use crate::Word;
use dmrelay_domain::ids::{ConnectionId, IncidentId};
use dmrelay_domain::notification::IncidentKind;
use sea_orm::entity::prelude::*;

/// One row of `incidents`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "incidents")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IncidentId,
    /// What it is about.
    pub kind: Word<IncidentKind>,
    /// What it concerns; no two open incidents of a kind concern the same.
    pub subject: String,
    /// The tenant; empty if it concerns the installation.
    pub subaccount_id: String,
    /// The connection, if it concerns one.
    pub connection_id: Option<ConnectionId>,
    /// Its Instagram account.
    pub instagram_account_id: Option<String>,
    /// Its handle.
    pub username: Option<String>,
    /// What was found, in words.
    pub detail: String,
    /// Since when it is so, in milliseconds: before `began_at` where that is known.
    pub since: i64,
    /// When it was first seen, in milliseconds.
    pub began_at: i64,
    /// When it was last seen, in milliseconds.
    pub seen_at: i64,
    /// When it was over, in milliseconds.
    pub ended_at: Option<i64>,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
