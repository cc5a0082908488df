//! An Instagram account connected to an agent.

use sea_orm::entity::prelude::*;

/// One row of `instagram_connections`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instagram_connections")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The agent, as Retell names it.
    pub agent_id: String,
    /// Where it stands.
    pub status: String,
    /// Status reason.
    pub status_reason: Option<String>,
    /// Login kind.
    pub login_kind: String,
    /// Instagram account id.
    pub instagram_account_id: String,
    /// Page id.
    pub page_id: Option<String>,
    /// Username.
    pub username: Option<String>,
    /// Access token.
    pub access_token: Option<Vec<u8>>,
    /// Token expires at, in milliseconds.
    pub token_expires_at: Option<i64>,
    /// Credential version.
    pub credential_version: i64,
    /// Verify token.
    pub verify_token: Option<Vec<u8>>,
    /// App secret.
    pub app_secret: Option<Vec<u8>>,
    /// Subscribed fields.
    pub subscribed_fields: String,
    /// Settings.
    pub settings: String,
    /// Last event at, in milliseconds.
    pub last_event_at: Option<i64>,
    /// Connected at, in milliseconds.
    pub connected_at: Option<i64>,
    /// Nothing of the agent is sent while the business has it paused.
    pub bot_paused: bool,
    /// When the token is to be refreshed next, in milliseconds.
    pub token_check_at: Option<i64>,
    /// When the row was made.
    pub created_at: i64,
    /// When the row last changed.
    pub updated_at: i64,
}

/// Nothing is joined through relations: statements that join stand in the store.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
