//! An Instagram account connected to an agent.

use crate::Word;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::{ConnectionStatus, LoginKind};
use sea_orm::entity::prelude::*;

/// One row of `instagram_connections`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "instagram_connections")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConnectionId,
    /// The tenant.
    pub subaccount_id: String,
    /// The agent, as Retell names it.
    pub agent_id: String,
    /// Its state.
    pub status: Word<ConnectionStatus>,
    /// Status reason.
    pub status_reason: Option<String>,
    /// The Meta login of the token.
    pub login_kind: Word<LoginKind>,
    /// Instagram account id.
    pub instagram_account_id: String,
    /// Page id.
    pub page_id: Option<String>,
    /// The id by which Meta names whoever connected the account to this app, where it is known.
    pub app_user_id: Option<String>,
    /// Username.
    pub username: Option<String>,
    /// Access token.
    pub access_token: Option<Vec<u8>>,
    /// Token expires at, in milliseconds.
    pub token_expires_at: Option<i64>,
    /// The token's `appsecret_proof`, encrypted, if calls carry it.
    pub token_proof: Option<Vec<u8>>,
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
    /// When its health is to be checked next, in milliseconds.
    pub check_at: Option<i64>,
    /// The permissions that its owner has granted, where they are known, as JSON.
    pub permissions: Option<String>,
    /// The ice breakers and the menu that were set for it, as JSON.
    pub inbox_profile: Option<String>,
    /// When the row was made.
    pub created_at: i64,
    /// When the row last changed.
    pub updated_at: i64,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The agent that answers.
    #[sea_orm(belongs_to = "super::agent::Entity", from = "Column::AgentId", to = "super::agent::Column::Id")]
    Agent,
    /// Its chats.
    #[sea_orm(has_many = "super::chat::Entity")]
    Chats,
    /// Its messages.
    #[sea_orm(has_many = "super::message::Entity")]
    Messages,
    /// Its turns.
    #[sea_orm(has_many = "super::turn::Entity")]
    Turns,
    /// What failed for good in it.
    #[sea_orm(has_many = "super::dead_letter::Entity")]
    DeadLetters,
    /// What happened to it.
    #[sea_orm(has_many = "super::activity::Entity")]
    Activities,
}

related! {
    super::agent::Entity => Agent,
    super::chat::Entity => Chats,
    super::message::Entity => Messages,
    super::turn::Entity => Turns,
    super::dead_letter::Entity => DeadLetters,
    super::activity::Entity => Activities,
}

impl Model {
    /// Since when it is connected, or was begun to be, in milliseconds.
    pub fn connected_since(&self) -> i64 {
        self.connected_at.unwrap_or(self.created_at)
    }

    /// Since when nothing has come for it, in milliseconds: since its last event, or since it is connected.
    pub fn quiet_since(&self) -> i64 {
        let connected = self.connected_since();
        self.last_event_at.map_or(connected, |last| last.max(connected))
    }
}

impl ActiveModelBehavior for ActiveModel {}
