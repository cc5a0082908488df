//! What has become of one message: for the canary, which writes to itself.

use crate::conversations::mid_key;
use crate::{Result, Store};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::{Author, ChatMode, MessageStatus, TurnState};
use dmrelay_entity::{chat, message, turn};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

/// What has become of a customer's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its webhook is not taken in.
    Unread,
    /// It is stored, and waits for the agent or for the send of the answer.
    Waiting,
    /// Graph has taken the answer, or the agent had nothing to say.
    Answered,
    /// It will not be answered, for this reason.
    Unanswered(String),
    /// The answer will not be sent, for this reason.
    Unsent(String),
}

impl Store {
    /// What has become of the message of a customer with this id of Meta's.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fate_of(&self, connection: ConnectionId, mid: &str) -> Result<Fate> {
        let db = self.reader();
        let asked = message::Entity::find()
            .filter(message::Column::MidKey.eq(mid_key(connection, mid)))
            .one(&db)
            .await?;
        let Some(asked) = asked else { return Ok(Fate::Unread) };
        let turn = match asked.turn_id {
            Some(id) => turn::Entity::find_by_id(id).one(&db).await?,
            None => None,
        };
        let Some(turn) = turn else {
            let chat = chat::Entity::find_by_id(asked.chat_id).one(&db).await?;
            let silent = chat.filter(|chat| chat.mode.known() != Some(ChatMode::Bot));
            return Ok(silent.map_or(Fate::Waiting, |chat| {
                Fate::Unanswered(format!("the chat is in mode {}", chat.mode.as_str()))
            }));
        };
        match turn.state.known() {
            Some(TurnState::Answered) => {}
            Some(TurnState::Failed | TurnState::Unknown | TurnState::Suppressed) => {
                let why = turn.error.unwrap_or_else(|| turn.state.as_str().to_owned());
                return Ok(Fate::Unanswered(why));
            }
            _ => return Ok(Fate::Waiting),
        }
        let first = message::Entity::find()
            .filter(message::Column::TurnId.eq(turn.id))
            .filter(message::Column::Author.eq(Author::Agent.as_str()))
            .filter(message::Column::Part.is_not_null())
            .order_by_asc(message::Column::Part)
            .one(&db)
            .await?;
        let Some(first) = first else { return Ok(Fate::Answered) };
        Ok(match first.status.known() {
            Some(MessageStatus::Sent) => Fate::Answered,
            Some(MessageStatus::Failed | MessageStatus::Suppressed | MessageStatus::Cancelled) => {
                let class = first.error_class.as_ref().map(dmrelay_entity::Word::as_str);
                Fate::Unsent(class.unwrap_or(first.status.as_str()).to_owned())
            }
            Some(MessageStatus::Unknown) if first.deadline.is_none() => Fate::Unsent("unknown".to_owned()),
            _ => Fate::Waiting,
        })
    }
}
