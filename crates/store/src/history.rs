//! Messages as the frontend lists them, and the messages people send.

use crate::chats::LockedChat;
use crate::ingest::NewMessage;
use crate::{Result, Store, Tx};
use dmrelay_domain::ids::{ConnectionId, MessageId};
use dmrelay_entity::message;
use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

/// Which messages to list. What is missing does not filter.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of these connections; none means no message at all.
    pub connections: Vec<ConnectionId>,
    /// Of this Instagram user.
    pub user: Option<String>,
    /// Of this chat.
    pub chat: Option<Uuid>,
    /// That went this way.
    pub direction: Option<String>,
    /// In this state.
    pub status: Option<String>,
    /// Older than this message.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// How many there are in all, counted up to a limit.
    pub total: u64,
    /// Whether the counting came to its end.
    pub total_is_exact: bool,
}

/// Counting stops here.
const COUNTED: u64 = 1_000;

/// A message with the Instagram user of its chat.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Listed {
    /// The message.
    #[sea_orm(nested)]
    pub message: message::Model,
    /// The user.
    pub instagram_user_id: String,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

impl Store {
    /// A page of messages, newest first.
    pub async fn messages(&self, filter: &MessageFilter) -> Result<Page<Listed>> {
        if filter.connections.is_empty() {
            return Ok(Page { items: Vec::new(), total: 0, total_is_exact: true });
        }
        let (condition, values) = condition(filter);
        let from = format!("FROM messages m JOIN chats c ON c.id = m.chat_id WHERE {condition}");
        let n = values.len();
        let sql = format!(
            "SELECT m.*, c.instagram_user_id {from} ORDER BY m.id DESC LIMIT ${} OFFSET ${}",
            n + 1,
            n + 2
        );
        let mut paged = values.clone();
        paged.extend([filter.limit.into(), filter.skip.into()]);
        let items: Vec<Listed> = self.read(&sql, paged).await?;
        let counted = COUNTED + 1;
        let sql = format!("SELECT COUNT(*) AS n FROM (SELECT m.id {from} LIMIT {counted}) counted");
        let rows: Vec<Count> = self.read(&sql, values).await?;
        let total = rows.first().map_or(0, |row| u64::try_from(row.n).unwrap_or(0));
        Ok(Page { items, total: total.min(COUNTED), total_is_exact: total <= COUNTED })
    }

    /// The message a client sent before under the same key.
    pub async fn message_by_key(
        &self,
        connection: ConnectionId,
        key: &str,
    ) -> Result<Option<message::Model>> {
        let sql = "SELECT * FROM messages WHERE connection_id = $1 AND idempotency_key = $2";
        Ok(self.read(sql, vec![connection.0.into(), key.into()]).await?.into_iter().next())
    }

    /// A message by its id.
    pub async fn message(&self, id: MessageId) -> Result<Option<message::Model>> {
        Ok(self.read("SELECT * FROM messages WHERE id = $1", vec![id.0.into()]).await?.into_iter().next())
    }
}

fn condition(filter: &MessageFilter) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut place = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let connections: Vec<String> = filter.connections.iter().map(|id| place(id.0.into())).collect();
    let mut all =
        vec![format!("m.connection_id IN ({})", connections.join(", ")), "m.kind <> 'stub'".to_owned()];
    if let Some(user) = &filter.user {
        all.push(format!("c.instagram_user_id = {}", place(user.as_str().into())));
    }
    if let Some(chat) = filter.chat {
        all.push(format!("m.chat_id = {}", place(chat.into())));
    }
    if let Some(direction) = &filter.direction {
        all.push(format!("m.direction = {}", place(direction.as_str().into())));
    }
    if let Some(status) = &filter.status {
        all.push(format!("m.status = {}", place(status.as_str().into())));
    }
    if let Some(before) = filter.before {
        all.push(format!("m.id < {}", place(before.into())));
    }
    (all.join(" AND "), values)
}

impl Tx {
    /// Queues a message that a person sends; the agent falls silent. `actor` names who, for the reason.
    pub async fn send_by_human(
        &self,
        chat: &mut LockedChat,
        new: NewMessage,
        pause: std::time::Duration,
    ) -> Result<MessageId> {
        self.take_over(chat, "send", pause).await?;
        let id = self.add_message(chat, new).await?;
        chat.await_delivery();
        self.save_chat(chat).await?;
        Ok(id)
    }
}
