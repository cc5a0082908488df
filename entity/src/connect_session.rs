//! An account being connected by a person who logs in at Meta.

use crate::Word;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::{ConnectSessionStatus, LoginKind, PageChoice};
use sea_orm::entity::prelude::*;

/// One row of `connect_sessions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connect_sessions")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The agent the account is for.
    pub agent_id: String,
    /// The login.
    pub login_kind: Word<LoginKind>,
    /// Whether people log in with the subaccount's own Meta app.
    pub own_app: bool,
    /// The account it must be, if it must be a certain one.
    pub instagram_account_id: Option<String>,
    /// Where the browser goes in the end.
    pub return_url: Option<String>,
    /// Who asks which Page it is.
    pub page_choice: Word<PageChoice>,
    /// The rest of what was asked for, as JSON.
    pub request: String,
    /// Who asked for it.
    pub actor: String,
    /// The same, by its id.
    pub actor_id: Option<String>,
    /// SHA-256 of the API key it was asked for with.
    pub key_hash: Option<Vec<u8>>,
    /// Whether the token it was asked for with names the agent.
    pub may_bind: bool,
    /// SHA-256 of what the browser must bring next.
    pub secret_hash: Vec<u8>,
    /// The Pages to choose from, with their tokens, sealed.
    pub pages: Option<Vec<u8>>,
    /// Its state.
    pub status: Word<ConnectSessionStatus>,
    /// Why it failed, in the words of problem types.
    pub error: Option<String>,
    /// The same, for people.
    pub error_detail: Option<String>,
    /// The connection that came of it.
    pub connection_id: Option<ConnectionId>,
    /// When the row was made.
    pub created_at: i64,
    /// Until when it goes on, in milliseconds.
    pub expires_at: i64,
    /// When the row last changed.
    pub updated_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
