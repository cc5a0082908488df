//! Activities on their way to the streams, with what they speak of as it is now.

use dmrelay_domain::ids::{ChatId, ConnectionId, MessageId};
use dmrelay_domain::states::DeadLetterKind;
use dmrelay_store::entity::{activity, chat, message};
use dmrelay_store::{Connection, Result, Store};
use serde_json::Value;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// An activity. What it speaks of is read once for all streams, when the first of them shows it.
pub(crate) struct Entry {
    pub(crate) row: activity::Model,
    pub(super) details: Value,
    message: OnceCell<Option<message::Model>>,
    chat: OnceCell<Option<chat::Model>>,
    connection: OnceCell<Option<Connection>>,
}

impl Entry {
    pub(crate) fn new(row: activity::Model) -> Self {
        let details = serde_json::from_str(&row.details).unwrap_or_default();
        let (message, chat, connection) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { row, details, message, chat, connection }
    }

    /// The chat it is about.
    pub(super) fn chat_id(&self) -> Option<ChatId> {
        self.details["chatId"].as_str()?.parse().ok()
    }

    /// The id of what it is about.
    pub(super) fn subject(&self) -> Option<Uuid> {
        self.row.subject.as_deref()?.parse().ok()
    }

    /// The id of the message that failed, if it is about such a failure.
    pub(super) fn failed_message(&self) -> Option<Uuid> {
        let is_of_message = self.details["kind"] == DeadLetterKind::Message.as_str();
        self.details["reference"].as_str().filter(|_| is_of_message)?.parse().ok()
    }

    /// The message it is about, as it is now; `None` if it is about none, or was erased.
    pub(super) async fn message(&self, store: &Store) -> Result<Option<&message::Model>> {
        let Some(id) = self.failed_message().or_else(|| self.subject()) else { return Ok(None) };
        let read = || async { store.message(MessageId(id)).await };
        Ok(self.message.get_or_try_init(read).await?.as_ref())
    }

    /// The chat it is about, as it is now.
    pub(crate) async fn chat(&self, store: &Store) -> Result<Option<&chat::Model>> {
        let Some(id) = self.chat_id() else { return Ok(None) };
        let read = || async { store.chat(id).await };
        Ok(self.chat.get_or_try_init(read).await?.as_ref())
    }

    /// Its connection, as it is now.
    pub(super) async fn connection(&self, store: &Store) -> Result<Option<&Connection>> {
        let Some(id) = self.row.connection_id.map(|id| ConnectionId(id.0)) else { return Ok(None) };
        let read = || async { store.connection_by_id(id).await };
        Ok(self.connection.get_or_try_init(read).await?.as_ref())
    }
}
