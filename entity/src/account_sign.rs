//! What the webhooks of an account tell about it as a whole.

use crate::Word;
use dmrelay_domain::states::AccountSign;
use sea_orm::entity::prelude::*;

/// One row of `account_signs`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "account_signs")]
pub struct Model {
    /// The Instagram account.
    #[sea_orm(primary_key, auto_increment = false)]
    pub account: String,
    /// What was seen.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sign: Word<AccountSign>,
    /// How often, since `first_at`.
    pub count: i64,
    /// Since when it is seen, without a day's pause, in milliseconds.
    pub first_at: i64,
    /// When it was last seen, in milliseconds.
    pub last_at: i64,
    /// More about the last one.
    pub detail: Option<String>,
}

/// Belongs to no other table.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
