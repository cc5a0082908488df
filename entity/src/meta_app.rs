//! The Meta app that a subaccount has of its own, for people to log in with.

use crate::Word;
use dmrelay_domain::states::LoginKind;
use sea_orm::entity::prelude::*;

/// One row of `meta_apps`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "meta_apps")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The tenant.
    pub subaccount_id: String,
    /// The login it is for.
    pub login_kind: Word<LoginKind>,
    /// The app's id at Meta.
    pub app_id: String,
    /// Its secret, sealed.
    pub app_secret: Vec<u8>,
    /// The verification token of its webhooks, sealed.
    pub verify_token: Vec<u8>,
    /// Its configuration of Facebook Login for Business.
    pub config_id: Option<String>,
    /// When the row was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
