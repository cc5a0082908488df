//! A request to erase everything of an account or of a subaccount.

use crate::Word;
use dmrelay_domain::ids::{ConnectionId, ErasureId};
use dmrelay_domain::states::ErasureState;
use sea_orm::entity::prelude::*;

/// One row of `erasures`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ErasureId,
    /// The confirmation code that Meta was given, if Meta asked for it.
    pub code: Option<String>,
    /// The tenant.
    pub subaccount_id: String,
    /// The connection; none for the whole subaccount.
    pub connection_id: Option<ConnectionId>,
    /// Who asked for it.
    pub actor: String,
    /// The id of the key, the subject of the token, or the operating system's user.
    pub actor_id: Option<String>,
    /// What became of it.
    pub state: Word<ErasureState>,
    /// When it begins, in milliseconds.
    pub due_at: i64,
    /// What a worker still has to look for, of an account that was connected again.
    pub trace_id: Option<Uuid>,
    /// How many users were erased.
    pub users: i64,
    /// When the row was made.
    pub created_at: i64,
    /// When it was finished, in milliseconds.
    pub finished_at: Option<i64>,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
