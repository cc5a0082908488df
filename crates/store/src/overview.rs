//! How it goes in a subaccount: its newest messages, and who waits.

use crate::{Result, Store};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ChatId, ConnectionId, MessageId, TurnId, first_id_at};
use dmrelay_domain::states::{Author, Direction, MessageStatus};
use dmrelay_entity::{Word, chat, message};
use sea_orm::{
    ColumnTrait, DerivePartialModel, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};

/// Chats that are looked into for the customer who has waited longest.
const WAITING_MAX: u64 = 1_000;

/// What statistics need of a message.
#[derive(Debug, Clone, PartialEq, Eq, DerivePartialModel)]
#[sea_orm(entity = "message::Entity")]
pub struct Glance {
    /// The connection it belongs to.
    pub connection_id: ConnectionId,
    /// From or to the Instagram user.
    pub direction: Word<Direction>,
    /// Who wrote it.
    pub author: Word<Author>,
    /// Its state.
    pub status: Word<MessageStatus>,
    /// The turn that asked it or that it answers.
    pub turn_id: Option<TurnId>,
    /// When it was received, in milliseconds.
    pub received_at: Millis,
    /// When it was sent, in milliseconds.
    pub sent_at: Option<Millis>,
    /// When the row was made, in milliseconds.
    pub created_at: Millis,
}

impl Store {
    /// The newest messages of these connections, back to a time or to at most so many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn glance(
        &self,
        connections: &[ConnectionId],
        since: Millis,
        most: u64,
    ) -> Result<Vec<Glance>> {
        if connections.is_empty() {
            return Ok(Vec::new());
        }
        let newest = message::Entity::find()
            .filter(message::Column::ConnectionId.is_in(connections.iter().copied()))
            .filter(message::Column::Id.gte(first_id_at::<MessageId>(since)))
            .order_by_desc(message::Column::Id)
            .limit(most);
        Ok(newest.into_partial_model().all(&self.reader()).await?)
    }

    /// When the customer wrote who has waited longest for the agent, of these connections; `None` if nobody waits.
    ///
    /// # Errors
    /// What the database says.
    pub async fn waiting_since(&self, connections: &[ConnectionId]) -> Result<Option<Millis>> {
        #[derive(FromQueryResult)]
        struct Row {
            at: Option<Millis>,
        }
        let due = chat::Entity::find()
            .select_only()
            .column(chat::Column::Id)
            .filter(chat::Column::ConnectionId.is_in(connections.iter().copied()))
            .filter(chat::Column::TurnDueAt.is_not_null())
            .order_by_asc(chat::Column::TurnDueAt)
            .limit(WAITING_MAX);
        let chats: Vec<ChatId> = due.into_tuple().all(&self.reader()).await?;
        let oldest = message::Entity::find()
            .select_only()
            .column_as(message::Column::At.min(), "at")
            .filter(message::Column::ChatId.is_in(chats))
            .filter(message::Column::NeedsAnswer.into_expr())
            .filter(message::Column::TurnId.is_null());
        let row: Option<Row> = oldest.into_model().one(&self.reader()).await?;
        Ok(row.and_then(|row| row.at))
    }
}
