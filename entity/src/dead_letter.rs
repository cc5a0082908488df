//! What failed for good.

use crate::Word;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ChatId, ConnectionId, DeadLetterId};
use dmrelay_domain::states::DeadLetterKind;
use sea_orm::entity::prelude::*;

/// One row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub struct Model {
    /// Our id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeadLetterId,
    /// The tenant.
    pub subaccount_id: String,
    /// The connection it belongs to.
    pub connection_id: Option<ConnectionId>,
    /// The chat it belongs to.
    pub chat_id: Option<ChatId>,
    /// What `reference` is the id of.
    pub kind: Word<DeadLetterKind>,
    /// The row it speaks of.
    pub reference: Uuid,
    /// The failure class.
    pub class: Word<FailureClass>,
    /// Error.
    pub error: String,
    /// Attempts.
    pub attempts: i32,
    /// When the row was made.
    pub created_at: i64,
    /// Replayed at, in milliseconds.
    pub replayed_at: Option<i64>,
    /// Discarded at, in milliseconds.
    pub discarded_at: Option<i64>,
    /// Who replayed or discarded it.
    pub closed_by: Option<String>,
}

/// How its rows are joined with others. The database checks no foreign keys.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The connection it belongs to.
    #[sea_orm(
        belongs_to = "super::instagram_connection::Entity",
        from = "Column::ConnectionId",
        to = "super::instagram_connection::Column::Id"
    )]
    Connection,
    /// The chat it belongs to.
    #[sea_orm(belongs_to = "super::chat::Entity", from = "Column::ChatId", to = "super::chat::Column::Id")]
    Chat,
}

related! {
    super::instagram_connection::Entity => Connection,
    super::chat::Entity => Chat,
}

impl ActiveModelBehavior for ActiveModel {}
